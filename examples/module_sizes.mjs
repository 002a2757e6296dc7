// Prints how large files are, raw and compressed, as JSON: node module_sizes.mjs FILE...
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const files = process.argv.slice(2).map((path) => {
  const bytes = readFileSync(path);
  return {
    name: basename(path),
    raw: bytes.length,
    gzip: gzipSync(bytes, { level: 9 }).length,
    brotli: brotliCompressSync(bytes).length,
  };
});
console.log(JSON.stringify({ files }, null, 2));
