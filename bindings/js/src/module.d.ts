/** Emscripten's glue, which the C++ build puts beside the compiled TypeScript. */
declare const createTwinloop: (options: object) => Promise<object>;
export default createTwinloop;
