// What C++ asks of the host's JavaScript.  Every function returns codes and never throws; bytes and strings are pointer and size.
// All of it, and the entry points the host calls, is in glue.cpp.
#pragma once

#include <cstddef>

namespace twinloop::detail {

class BrowserWebSocket;
class BrowserStdio;

void on_trace_request() noexcept;
// The host asks for it.

namespace host {

void start();
// Once, before anything else.

double now();
// Milliseconds, monotonic.

void request_turn(double delay);
// Calls IOLoop::turn() after `delay` milliseconds; 0: as soon as the host can; negative: not at all.

enum OpenError { kNoWebSocket = -1, kRefused = -2, kSyntax = -3 };
int open_socket(BrowserWebSocket* self, const char* url, const char* protocols);
// A handle, or an OpenError.  `protocols` are separated by commas.  Bytes beyond those that on_event() allows close it with 3009.
void problem(char* into, int size);
// What the host said when it refused.

int read_socket(int socket, char* into, int size);
int held_by_socket(int socket);
// Bytes received and not yet read.
int send_to_socket(int socket, const char* bytes, int size);
// 0, or negative when the host refused.
int buffered_by_socket(int socket);
// Bytes that the host has not sent yet; negative when it takes no more.
void close_socket(int socket, int code);
// Forgets it; the host delivers what it buffered.

enum InputStatus { kInputEnd = -1 };
bool watch_input(BrowserStdio* self);
// False while another one does.
void leave_input(BrowserStdio* self);
// Harmless where it is not the one.
int read_input(char* into, int size);
// Bytes, 0 when there are none now, or kInputEnd.
bool write_output(const char* bytes, int size);
// False when the host is still busy with what it got before; BrowserStdio::on_event() says when it is not.
bool output_busy();

int compile_pattern(const char* text, int size);
// A handle, or 0: then problem() says what is wrong with it.
int match_pattern(int pattern, const char* text, int from, int size);
// Where the first match at `from` or behind it ends, or -1.
void forget_pattern(int pattern);

void log(int level, const char* text, int size);
void exit(int status);
void offer_trace(bool offered);
// Whether the host may ask for a trace, by calling its requestTrace().
bool save(const char* name, const char* text, int size);
bool environment(const char* name, char* into, int size);
// False when there is no such variable.

}  // namespace host
}  // namespace twinloop::detail
