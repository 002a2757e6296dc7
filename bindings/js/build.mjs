// node build.mjs [FOLDER]: what follows tsc.  Makes the JavaScript in dist/ small and, when FOLDER holds Emscripten's module.js and
// module.wasm, puts those beside it.
import { copyFile, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { minify } from 'terser';

const dist = fileURLToPath(new URL('./dist/', import.meta.url));
const folder = process.argv[2];

async function shrink(from, to, passes) {
  const { code } = await minify(await readFile(from, 'utf8'), { module: true, ecma: 2022, compress: { passes, unsafe_arrows: true }, mangle: true, format: { comments: /@vite-ignore|webpackIgnore/ } });
  await writeFile(to, code);
}

for (const name of await readdir(dist)) {
  if (name.endsWith('.js') && name !== 'module.js') await shrink(join(dist, name), join(dist, name), 2);
}
if (folder) {
  await shrink(join(folder, 'module.js'), join(dist, 'module.js'), 3);
  await copyFile(join(folder, 'module.wasm'), join(dist, 'module.wasm'));
}
