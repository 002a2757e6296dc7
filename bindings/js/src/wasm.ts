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

/** What the glue keeps in `Module.twinloop` of a module that runs. */
export interface Sockets {
  sockets?: Record<string, { socket: { close(): void } }>;
}

/** Of a module that is broken: their other ends are told, and it hears nothing of them. */
export function closeSockets(host: Sockets): void {
  const { sockets = {} } = host;
  host.sockets = {};
  for (const { socket } of Object.values(sockets)) socket.close();
}

/** For `instantiateWasm`. `broken` hears of a call that ended in a trap, an abort for want of memory, or too deep a stack. */
export function instantiateWith(module: WebAssembly.Module, fail: (reason: unknown) => void, broken: (cause: unknown) => void) {
  return (imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void): object => {
    WebAssembly.instantiate(module, imports).then((instance) => done({ exports: guarded(instance.exports, broken) }, module), fail);
    return {};
  };
}

function guarded(exports: WebAssembly.Exports, broken: (cause: unknown) => void): WebAssembly.Exports {
  const guard = (call: WebAssembly.ExportValue): WebAssembly.ExportValue =>
    typeof call !== 'function'
      ? call
      : (...args: unknown[]): unknown => {
          try {
            return call(...args) as unknown;
          } catch (cause) {
            // A C++ exception on its way to a caller in C++ passes here, too.
            if (cause instanceof WebAssembly.RuntimeError || cause instanceof RangeError) broken(cause);
            throw cause;
          }
        };
  return Object.fromEntries(Object.entries(exports).map(([name, value]) => [name, guard(value)]));
}
