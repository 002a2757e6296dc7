// Loads the wasm module and turns its numbered operations into promises.
import { type Connection, type ErrorCode, makeError } from './errors.js';
import { closeSockets, compile, instantiateWith, type Sockets, type WasmSource } from './wasm.js';

export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => object;

export interface InitOptions {
  /** The module, when it is not found by itself: a URL, the bytes, a compiled module or a Response. */
  wasm?: WasmSource | Promise<WasmSource> | undefined;
  /** The WebSocket class; needed in Node 20, which has none of its own. */
  WebSocket?: WebSocketConstructor | undefined;
}

interface Exports {
  HEAPU8: Uint8Array;
  _twinloop_js_start(): void;
  _twinloop_js_buffer(size: number): number;
  _twinloop_js_connect(operation: number, maxBuffer: number): void;
  _twinloop_js_read(operation: number, stream: number, kind: number, count: number): void;
  _twinloop_js_write(operation: number, stream: number, kind: number, milliseconds: number): void;
  _twinloop_js_watch_close(operation: number, stream: number): void;
  _twinloop_js_close(stream: number, hard: number): void;
  _twinloop_js_cancel(operation: number): void;
}

export interface Settled {
  bytes: Uint8Array<ArrayBuffer>;
  number: number;
}

/** What `Module.twinloop` is to the module: see backends/browser/glue.cpp. */
interface Host extends Sockets {
  settle(operation: number, status: number, bytes: Uint8Array<ArrayBuffer>, number: number): void;
  WebSocket?: WebSocketConstructor;
  /** The connection that a call to connect is making right now. */
  connecting?: (Connection & { WebSocket?: WebSocketConstructor | undefined }) | undefined;
}

export interface OperationLimits {
  signal?: AbortSignal | undefined;
  connection?: Connection;
  /** Milliseconds, after which it is withdrawn and fails with a TimeoutError of this text. */
  timeout?: number;
  late?: string;
}

interface Operation {
  resolve(value: Settled): void;
  reject(reason: unknown): void;
  connection: Connection | undefined;
  unwatch(): void;
}

const text = new TextDecoder();
const encoder = new TextEncoder();

export class Runtime {
  private readonly operations = new Map<number, Operation>();
  private readonly host: Host = { settle: (...result) => this.settle(...result) };
  private next = 1;
  private module!: Exports;
  private broken: string | undefined;

  static async load(options: InitOptions): Promise<Runtime> {
    const runtime = new Runtime();
    const source = (await options.wasm) ?? new URL('./module.wasm', import.meta.url);
    const wasm = await compile(source, 'pass init({ wasm }) with the address or the bytes of twinloop/module.wasm');
    const { default: createTwinloop } = await import('./module.js');
    if (options.WebSocket) runtime.host.WebSocket = options.WebSocket;
    runtime.module = await new Promise<Exports>((resolve, reject) => {
      const broken = (cause: unknown): void => runtime.break(cause);
      const created = createTwinloop({ instantiateWasm: instantiateWith(wasm, reject, broken), twinloop: runtime.host });
      created.then((module) => resolve(module as Exports), reject);
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
    operation.reject(makeError(code as ErrorCode, message.join('\n'), operation.connection));
  }

  /** Nothing in the module can be relied on any more: all who wait are told, whoever asks later, too, and connect() loads another. */
  private break(cause: unknown): void {
    if (this.broken !== undefined) return;
    this.broken = `the module failed: ${String(cause)}`;
    shared = undefined;
    closeSockets(this.host);
    for (const { reject, connection, unwatch } of this.operations.values()) {
      unwatch();
      reject(makeError('loop_closed', this.broken, connection));
    }
    this.operations.clear();
  }

  /** Starts an operation. An abort withdraws it: the promise rejects with the signal's reason and no byte is lost. */
  start(call: (module: Exports, id: number) => void, limits: OperationLimits = {}): Promise<Settled> {
    const { signal, connection, timeout } = limits;
    if (signal?.aborted) return Promise.reject(signal.reason as unknown);
    if (this.broken !== undefined) return Promise.reject(makeError('loop_closed', this.broken, connection));
    return new Promise<Settled>((resolve, reject) => {
      const id = this.next++;
      const withdraw = (reason: unknown): void => {
        this.operations.get(id)?.unwatch();
        this.operations.delete(id);
        this.module._twinloop_js_cancel(id);
        reject(reason);
      };
      const abort = (): void => withdraw(signal?.reason);
      const timer =
        timeout === undefined || !(timeout < 0x7fffffff)
          ? undefined
          : setTimeout(() => withdraw(makeError('timeout', limits.late ?? '')), timeout);
      const unwatch = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.operations.set(id, { resolve, reject, connection, unwatch });
      call(this.module, id);
    });
  }

  /** The module opens its WebSocket before this returns, and tells `connection` later how it ended. */
  connect(id: number, connection: Connection, protocols: string[], maxBuffer: number, WebSocket?: WebSocketConstructor): void {
    this.put([connection.url, ...protocols].join('\n'));
    this.host.connecting = connection;
    if (WebSocket) this.host.connecting.WebSocket = WebSocket;
    this.module._twinloop_js_connect(id, maxBuffer);
    this.host.connecting = undefined;
  }

  /** Copies bytes or text to where the next call takes them. */
  put(value: Uint8Array | string): void {
    const bytes = typeof value === 'string' ? encoder.encode(value) : value;
    const at = this.module._twinloop_js_buffer(bytes.length);
    this.module.HEAPU8.set(bytes, at);
  }

  close(stream: number, hard: boolean): void {
    if (this.broken === undefined) this.module._twinloop_js_close(stream, hard ? 1 : 0);
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
