/** What went wrong, by one word: the same words as in C++ (`Errc`). */
export type ErrorCode =
  | 'end' | 'reset' | 'refused' | 'unreachable' | 'unresolved' | 'in_use' | 'denied' | 'not_found' | 'truncated' | 'protocol'
  | 'overflow' | 'limit' | 'unsatisfiable_read' | 'timeout' | 'idle_timeout' | 'cancelled' | 'local' | 'loop_closed'
  | 'not_supported' | 'broken_promise' | 'busy' | 'invalid_url' | 'unknown_scheme' | 'unknown_backend' | 'descriptors_exhausted'
  | 'bad_descriptor' | 'plaintext_before_tls' | 'bad_certificate' | 'process_failed' | 'invalid_pattern' | 'io';

/** Every failure of this package. `code` says which; `message` says what was tried and what happened. */
export class TwinloopError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TwinloopError';
    this.code = code;
  }
}

/** The connection's end made a read or write impossible. */
export class StreamClosedError extends TwinloopError {
  /** The WebSocket close code, where there was one: 1006 when the connection broke, 1000 and 1001 at an orderly end. */
  readonly closeCode: number | undefined;
  /** What the peer said with it. */
  readonly closeReason: string | undefined;
  constructor(code: ErrorCode, message: string, closeCode?: number, closeReason?: string) {
    super(code, message);
    this.name = 'StreamClosedError';
    this.closeCode = closeCode;
    this.closeReason = closeReason;
  }
}

/** A deadline passed. */
export class TimeoutError extends TwinloopError {
  constructor(code: ErrorCode, message: string) {
    super(code, message);
    this.name = 'TimeoutError';
  }
}

/** The host cannot do it; the message names the alternative. */
export class UnsupportedError extends TwinloopError {
  constructor(code: ErrorCode, message: string) {
    super(code, message);
    this.name = 'UnsupportedError';
  }
}

/** What became of a connection: the glue fills in the close code when there is one. */
export interface Connection {
  url: string;
  code?: number;
  reason?: string;
}

const kClosed: ReadonlySet<string> = new Set([
  'end', 'reset', 'truncated', 'protocol', 'overflow', 'unsatisfiable_read', 'idle_timeout', 'local', 'loop_closed', 'io',
]);

const kUsualCauses =
  'the host does not say why; usual causes: the server or the network died, a TLS error, a proxy\'s idle timeout';

export function makeError(code: ErrorCode, message: string, connection?: Connection): TwinloopError {
  if (code === 'timeout') return new TimeoutError(code, message);
  if (code === 'not_supported') return new UnsupportedError(code, message);
  if (!kClosed.has(code)) return new TwinloopError(code, message);
  if (connection === undefined) return new StreamClosedError(code, message);
  const { url, code: closeCode, reason } = connection;
  let text = `${url}: ${message}`;
  if (closeCode !== undefined) {
    const detail = closeCode === 1006 ? `; ${kUsualCauses}` : reason ? `: ${reason}` : '';
    text += ` (close code ${closeCode}${detail})`;
  }
  return new StreamClosedError(code, text, closeCode, reason);
}
