// What the HTTP client asks of the host's fetch().  As in backends/browser/glue.h every function returns codes and never throws.
// Apart from that, so that a program without HTTP carries none of it.
#pragma once

#include <cstddef>

namespace twinloop::detail::host {

struct FetchRequest {
  const char* method = "";
  const char* url = "";      // or a part of one, as a page may write it
  const char* headers = "";  // name, line feed, value, line feed, …
  const char* user = nullptr;
  const char* password = "";
  const char* body = nullptr;  // null: none
  int body_size = 0;
  bool follow = true;
};

enum FetchStart { kFetching = 0, kNoFetch = -1, kForbiddenHeader = -2, kRefusedRequest = -3 };
int start_fetch(int id, const FetchRequest& request);
// fetch_event() is called when something has happened.  What is wrong: problem() of glue.h.

enum FetchState { kWaiting = 0, kHead = 1, kBytes = 2, kEnd = 3, kFailed = 4 };
FetchState fetch_state(int id);
int fetch_status(int id);
bool is_opaque_redirect(int id);
int fetch_text(int id, char* into, int size);
// Its reason, its URL and its headers, a line each, or what it failed with.  Gives how many bytes that are; with null only that.
enum FetchFailure { kUnexplained = 0, kRefusedConnection = 1, kUnknownHost = 2, kReset = 3, kBroken = 4 };
FetchFailure fetch_failure(int id);

void pull_fetch(int id);
// Asks for more of the body.
int read_fetch(int id, char* into, int size);
void forget_fetch(int id);
// Gives it up where it is not at its end.

void fetch_event(int id) noexcept;

}  // namespace twinloop::detail::host
