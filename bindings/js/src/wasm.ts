// Where a module's bytes come from, and how Emscripten's glue is given them: it then looks for nothing itself.

/** Where the wasm comes from. */
export type WasmSource = URL | string | ArrayBuffer | Uint8Array<ArrayBuffer> | WebAssembly.Module | Response;

type Reader = (url: URL) => Promise<Response | Uint8Array<ArrayBuffer>>;

let read: Reader = fetchFrom;

/** Node reads file: URLs its own way. */
export function setReader(reader: Reader): void {
  read = reader;
}

export async function fetchFrom(url: URL): Promise<Response> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return response;
}

async function compileResponse(response: Response): Promise<WebAssembly.Module> {
  const type = response.headers.get('Content-Type') ?? '';
  if (type.startsWith('application/wasm')) return WebAssembly.compileStreaming(response);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d) return WebAssembly.compile(bytes);
  throw new Error(`${response.url} is '${type}', not WebAssembly`);
}

/** `remedy` says what to do when it is not found. */
export async function compile(source: WasmSource, remedy: string): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  if (source instanceof Response) return compileResponse(source);
  if (!(source instanceof URL) && typeof source !== 'string') return WebAssembly.compile(source);
  const url = new URL(source, globalThis.location?.href);
  try {
    const found = await read(url);
    return found instanceof Response ? await compileResponse(found) : await WebAssembly.compile(found);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`twinloop: no WebAssembly at ${url.href} (${why}); ${remedy}`, { cause });
  }
}

/** For `instantiateWasm`. */
export function instantiateWith(module: WebAssembly.Module, fail: (reason: unknown) => void) {
  return (imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void): object => {
    WebAssembly.instantiate(module, imports).then((instance) => done(instance, module), fail);
    return {};
  };
}
