/** What went wrong, by one word: the same words as in C++ (`Errc`). */
export type ErrorCode =
  | 'end' | 'reset' | 'refused' | 'unreachable' | 'unresolved' | 'in_use' | 'denied' | 'truncated' | 'protocol' | 'overflow'
  | 'limit' | 'unsatisfiable_read' | 'timeout' | 'idle_timeout' | 'cancelled' | 'local' | 'loop_closed' | 'not_supported'
  | 'broken_promise' | 'busy' | 'invalid_url' | 'unknown_scheme' | 'unknown_backend' | 'descriptors_exhausted'
  | 'plaintext_before_tls' | 'io';

/** Every failure of this package. `code` says which; `message` says what was tried and what happened. */
export class TwinloopError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The connection's end made a read or write impossible. */
export class StreamClosedError extends TwinloopError {}

/** A deadline passed. */
export class TimeoutError extends TwinloopError {}

/** The host cannot do it; the message names the alternative. */
export class UnsupportedError extends TwinloopError {}

const kClosed: ReadonlySet<string> = new Set([
  'end', 'reset', 'truncated', 'protocol', 'overflow', 'unsatisfiable_read', 'idle_timeout', 'local', 'loop_closed', 'io',
]);

export function makeError(code: ErrorCode, message: string): TwinloopError {
  if (code === 'timeout') return new TimeoutError(code, message);
  if (code === 'not_supported') return new UnsupportedError(code, message);
  return kClosed.has(code) ? new StreamClosedError(code, message) : new TwinloopError(code, message);
}
