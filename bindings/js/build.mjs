// node build.mjs [FOLDER]: what follows tsc.  Makes the JavaScript in dist/ small and, when FOLDER holds Emscripten's module.js and
// module.wasm, puts those beside it.
import { copyFile, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { minify } from 'terser';

const dist = fileURLToPath(new URL('./dist/', import.meta.url));
const folder = process.argv[2];

// What the glue has and nobody uses: its own ways to fetch and instantiate the wasm, for our wrapper does that in every host, and views
// of the memory but HEAPU8.
const kUnused = [
  /wasmBinaryFile\?\?=findWasmBinary\(\);instantiateAsync\([^;]*;return\{\}/,
  /readAsync=url=>fetch\(.*?\}\)(?=\})/,
  /Module\["HEAP(?!U8")\w+"\]=HEAP\w+=new \w+\(b\);/g,
];

function withoutUnused(glue) {
  for (const unused of kUnused) {
    if (glue.search(unused) < 0) throw new Error(`this Emscripten's glue has no ${unused}: look at what it has instead`);
    glue = glue.replace(unused, '');
  }
  return glue;
}

async function shrink(from, to, passes, change = (code) => code) {
  const { code } = await minify(change(await readFile(from, 'utf8')), { module: true, ecma: 2022, compress: { passes, unsafe_arrows: true }, mangle: true, format: { comments: /@vite-ignore|webpackIgnore/ } });
  await writeFile(to, code);
}

for (const name of await readdir(dist)) {
  if (name.endsWith('.js') && name !== 'module.js') await shrink(join(dist, name), join(dist, name), 2);
}
if (folder) {
  await shrink(join(folder, 'module.js'), join(dist, 'module.js'), 3, withoutUnused);
  await copyFile(join(folder, 'module.wasm'), join(dist, 'module.wasm'));
}
