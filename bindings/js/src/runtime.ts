// Loads the wasm module and turns its numbered operations into promises.
import { type ErrorCode, makeError } from './errors.js';

/** Where the wasm comes from. Without it the file beside this one is used. */
export type WasmSource = URL | string | ArrayBuffer | Uint8Array<ArrayBuffer> | WebAssembly.Module | Response;

export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => WebSocket;

export interface InitOptions {
  /** The module, when it is not found by itself: a URL, the bytes, a compiled module or a Response. */
  wasm?: WasmSource | Promise<WasmSource>;
  /** The WebSocket class; needed in Node 20, which has none of its own. */
  WebSocket?: WebSocketConstructor;
}

type Factory = (options: object) => Promise<Exports>;

interface Exports {
  HEAPU8: Uint8Array;
  _twinloop_js_start(): void;
  _twinloop_js_buffer(size: number): number;
  _twinloop_js_connect(operation: number, timeout: number, maxBuffer: number): void;
  _twinloop_js_read(operation: number, stream: number, kind: number, count: number): void;
  _twinloop_js_write(operation: number, stream: number, kind: number, milliseconds: number): void;
  _twinloop_js_watch_close(operation: number, stream: number): void;
  _twinloop_js_reason(operation: number, stream: number): void;
  _twinloop_js_close(stream: number, hard: number): void;
  _twinloop_js_cancel(operation: number): void;
}

export interface Settled {
  bytes: Uint8Array<ArrayBuffer>;
  number: number;
}

interface Operation {
  resolve(value: Settled): void;
  reject(reason: unknown): void;
  unwatch(): void;
}

type Reader = (url: URL) => Promise<WasmSource>;
let readDefault: Reader = async (url) => {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (cause) {
    throw new Error(`twinloop: cannot fetch ${url.href}; pass init({ wasm }) with the address of module.wasm`, { cause });
  }
  if (!response.ok) {
    throw new Error(`twinloop: ${url.href} answered ${response.status}; pass init({ wasm }) with the address of module.wasm`);
  }
  return response;
};

export function setDefaultReader(reader: Reader): void {
  readDefault = reader;
}

async function compile(source: WasmSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  if (source instanceof URL || typeof source === 'string') return compile(await readDefault(new URL(source)));
  if (!(source instanceof Response)) return WebAssembly.compile(source);
  const type = source.headers.get('Content-Type') ?? '';
  if (type.startsWith('application/wasm')) return WebAssembly.compileStreaming(source);
  const bytes = await source.arrayBuffer();
  if (new Uint32Array(bytes.slice(0, 4))[0] === 0x6d736100) return WebAssembly.compile(bytes);
  throw new Error(`twinloop: ${source.url} is '${type}', not WebAssembly; pass init({ wasm }) with the address of module.wasm`);
}

/** For `instantiateWasm`: Emscripten's glue then looks for nothing itself. */
export function instantiateWith(module: WebAssembly.Module, fail: (reason: unknown) => void) {
  return (imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void): object => {
    WebAssembly.instantiate(module, imports).then((instance) => done(instance, module), fail);
    return {};
  };
}

const text = new TextDecoder();
const encoder = new TextEncoder();

export class Runtime {
  private readonly operations = new Map<number, Operation>();
  private next = 1;
  private module!: Exports;

  static async load(options: InitOptions): Promise<Runtime> {
    const runtime = new Runtime();
    const source = (await options.wasm) ?? new URL('./module.wasm', import.meta.url);
    const wasm = await compile(source);
    const glue = (await import(new URL('./module.js', import.meta.url).href)) as { default: Factory };
    runtime.module = await new Promise<Exports>((resolve, reject) => {
      const host = {
        ...(options.WebSocket ? { WebSocket: options.WebSocket } : {}),
        settle: (operation: number, status: number, bytes: Uint8Array<ArrayBuffer>, number: number) =>
          runtime.settle(operation, status, bytes, number),
      };
      glue.default({ instantiateWasm: instantiateWith(wasm, reject), twinloop: host }).then(resolve, reject);
    });
    runtime.module._twinloop_js_start();
    return runtime;
  }

  private settle(id: number, status: number, bytes: Uint8Array<ArrayBuffer>, number: number): void {
    const operation = this.operations.get(id);
    if (!operation) return;
    this.operations.delete(id);
    operation.unwatch();
    if (status === 0) return operation.resolve({ bytes, number });
    const [code, ...message] = text.decode(bytes).split('\n');
    operation.reject(makeError(code as ErrorCode, message.join('\n')));
  }

  /** Starts an operation. An abort withdraws it: the promise rejects with the signal's reason and no byte is lost. */
  start(call: (module: Exports, id: number) => void, signal?: AbortSignal): Promise<Settled> {
    if (signal?.aborted) return Promise.reject(signal.reason as unknown);
    return new Promise<Settled>((resolve, reject) => {
      const id = this.next++;
      const abort = (): void => {
        this.operations.delete(id);
        this.module._twinloop_js_cancel(id);
        reject(signal?.reason as unknown);
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.operations.set(id, { resolve, reject, unwatch: () => signal?.removeEventListener('abort', abort) });
      call(this.module, id);
    });
  }

  /** Copies bytes or text to where the next call takes them. */
  put(value: Uint8Array | string): void {
    const bytes = typeof value === 'string' ? encoder.encode(value) : value;
    const at = this.module._twinloop_js_buffer(bytes.length);
    this.module.HEAPU8.set(bytes, at);
  }

  close(stream: number, hard: boolean): void {
    this.module._twinloop_js_close(stream, hard ? 1 : 0);
  }
}

let shared: Promise<Runtime> | undefined;

export function sharedRuntime(options: InitOptions = {}): Promise<Runtime> {
  shared ??= Runtime.load(options).catch((error: unknown) => {
    shared = undefined;
    throw error;
  });
  return shared;
}
