/// <reference lib="esnext.disposable" preserve="true" />
/**
 * twinloop: reads that end where you want them to, over any WebSocket.
 *
 * The same C++ that serves native programs runs here as WebAssembly, on the page's own event loop.
 */
import { type Connection, type ErrorCode, TwinloopError, UnsupportedError } from './errors.js';
import { type InitOptions, type OperationLimits, type Runtime, sharedRuntime, type WebSocketConstructor } from './runtime.js';

export { TwinloopError, StreamClosedError, TimeoutError, UnsupportedError, type ErrorCode } from './errors.js';
export { type InitOptions, type WebSocketConstructor } from './runtime.js';
export { type WasmSource } from './wasm.js';

/** Loads the module now rather than with the first connect. Only the first call's options count. */
export async function init(options: InitOptions = {}): Promise<void> {
  await sharedRuntime(options);
}

export interface OperationOptions {
  /** Aborting withdraws the operation: it rejects with the signal's reason, and no byte is lost. */
  signal?: AbortSignal | undefined;
}

export interface ConnectOptions extends OperationOptions {
  /** Subprotocols to offer. With `twinloop.stream` on both ends an empty message is a half-close. */
  protocols?: string[] | undefined;
  /** Milliseconds for the whole attempt; 30,000. */
  timeout?: number | undefined;
  /** Bytes that may wait unread before the stream fails with `overflow`; at most and by default 16 MiB. */
  maxBufferSize?: number | undefined;
  /** The WebSocket class of this connection; else that of init(), else the host's own. */
  WebSocket?: WebSocketConstructor | undefined;
}

export interface ReadUntilOptions extends OperationOptions {
  /** The stream is closed with `unsatisfiable_read` when so many bytes pass without the delimiter. */
  maxBytes?: number | undefined;
}

/** How a stream ended. */
export interface CloseInfo {
  /** `end` after the peer's orderly end, `local` after close(), otherwise what broke it. */
  reason: ErrorCode;
  /** The WebSocket close code, where there was one. */
  closeCode: number | undefined;
  closeReason: string | undefined;
}

const kUntil = 0, kBytes = 1, kSome = 2, kUntilClose = 3;
const kWrite = 0, kFlush = 1, kFinish = 2;
const kUnlimited = -1;
const kMaxHeld = 16 * 1024 * 1024;

const decoder = new TextDecoder();

// Hosts without explicit resource management have no such symbols; their polyfills look here.
const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose');
const dispose: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for('Symbol.dispose');

function checkUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new TwinloopError('invalid_url', `connect '${text}': not a URL; write ws://host:port/path or wss://host/path`, { cause });
  }
  if (url.protocol === 'ws:' || url.protocol === 'wss:') return url.href;
  throw new UnsupportedError('not_supported', `connect ${text}: only ws:// and wss:// leave a browser; a server reaches it over WebSocket`);
}

/** Opens a WebSocket as a stream of bytes. Rejects with a TwinloopError that names the URL and what happened. */
export async function connect(url: string | URL, options: ConnectOptions = {}): Promise<IOStream> {
  const connection: Connection = { url: checkUrl(String(url)) };
  const runtime = await sharedRuntime();
  const { signal, protocols = [], timeout = 30_000, maxBufferSize = kMaxHeld, WebSocket } = options;
  const late = `connect ${connection.url}: not within ${timeout} ms`;
  const { number } = await runtime.start(
    (_, id) => runtime.connect(id, connection, protocols, maxBufferSize, WebSocket),
    { signal, timeout, late },
  );
  return new IOStream(runtime, number, connection);
}

/** A connection as a stream of bytes. One read at a time; bytes are copied in and out, and what you get is yours. */
export class IOStream implements AsyncIterable<Uint8Array<ArrayBuffer>> {
  readonly #runtime: Runtime;
  readonly #stream: number;
  readonly #connection: Connection;
  #closed = false;

  /** Resolves once the stream has ended, whether or not anyone reads. */
  readonly closed: Promise<CloseInfo>;

  /** @internal Use connect(). */
  constructor(runtime: Runtime, stream: number, connection: Connection) {
    this.#runtime = runtime;
    this.#stream = stream;
    this.#connection = connection;
    this.closed = runtime
      .start((module, id) => module._twinloop_js_watch_close(id, stream))
      .then(({ bytes }) => decoder.decode(bytes) as ErrorCode, ({ code }: TwinloopError) => code)
      .then((reason) => ({
        reason,
        closeCode: connection.code,
        closeReason: connection.reason,
      }));
  }

  async #read(kind: number, count: number, { signal }: OperationOptions, delimiter?: string | Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    const limits: OperationLimits = { signal, connection: this.#connection };
    const { bytes } = await this.#runtime.start((module, id) => {
      if (delimiter !== undefined) this.#runtime.put(delimiter);
      module._twinloop_js_read(id, this.#stream, kind, count);
    }, limits);
    return bytes;
  }

  /** Everything up to and including the delimiter. What follows stays for the next read. */
  async readUntil(delimiter: string | Uint8Array, options: ReadUntilOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    if (delimiter.length === 0) throw new RangeError('readUntil needs a delimiter');
    return this.#read(kUntil, checkCount(options.maxBytes ?? kUnlimited, kUnlimited), options, delimiter);
  }

  /** Exactly `count` bytes. */
  async readBytes(count: number, options: OperationOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#read(kBytes, checkCount(count, 0), options);
  }

  /** What there is: at least one byte, at most `maxBytes`. */
  async readSome(maxBytes = 65_536, options: OperationOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#read(kSome, checkCount(maxBytes, 1), options);
  }

  /** Everything up to the peer's end. */
  async readUntilClose(options: OperationOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#read(kUntilClose, kUnlimited, options);
  }

  async #send(kind: number, milliseconds: number, bytes?: string | Uint8Array): Promise<void> {
    await this.#runtime.start(
      (module, id) => {
        if (bytes !== undefined) this.#runtime.put(bytes);
        module._twinloop_js_write(id, this.#stream, kind, milliseconds);
      },
      { connection: this.#connection },
    );
  }

  /** Accepts bytes (text as UTF-8) for sending. Resolves at once while little is unsent: awaiting it is back-pressure. */
  write(bytes: string | Uint8Array): Promise<void> {
    return this.#send(kWrite, 0, bytes);
  }

  /** Resolves when everything written before was handed to the browser. */
  flush(): Promise<void> {
    return this.#send(kFlush, 0);
  }

  /** Hands everything over, waits for the peer's end where there is a half-close, and closes. Milliseconds; 10,000. */
  async finish(timeout = 10_000): Promise<void> {
    try {
      await this.#send(kFinish, timeout);
    } finally {
      this.close();
    }
  }

  #end(hard: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#runtime.close(this.#stream, hard);
  }

  /** Ends the stream. What was written still goes out; pending operations reject with `local`. Safe to call twice. */
  close(): void {
    this.#end(false);
  }

  /** The hard form of close(): what was not handed over is thrown away. */
  abort(): void {
    this.#end(true);
  }

  /** Chunks as they come, until the peer's end. Leaving the loop early closes the stream. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    try {
      for (;;) {
        const chunk = await this.readSome().catch(noneAtEnd);
        if (chunk === undefined) return;
        yield chunk;
      }
    } finally {
      this.close();
    }
  }

  /**
   * Lines of UTF-8 text without their ends, until the peer's end. A last line without a newline counts.
   * Leaving the loop early leaves the stream open, with the rest unread.
   */
  async *lines(options: ReadUntilOptions = {}): AsyncGenerator<string, void, undefined> {
    for (;;) {
      const line = await this.readUntil('\n', options).catch(noneAtEnd);
      if (line !== undefined) {
        yield decoder.decode(line).replace(/\r?\n$/, '');
        continue;
      }
      const rest = await this.readUntilClose(options);
      if (rest.length > 0) yield decoder.decode(rest);
      return;
    }
  }

  async [asyncDispose](): Promise<void> {
    this.close();
  }

  [dispose](): void {
    this.close();
  }
}

function checkCount(count: number, least: number): number {
  if (Number.isSafeInteger(count) && count >= least && count <= 0x7fffffff) return count;
  throw new RangeError(`a number of bytes cannot be ${count}`);
}

function noneAtEnd(error: unknown): undefined {
  if (error instanceof TwinloopError && error.code === 'end') return undefined;
  throw error;
}
