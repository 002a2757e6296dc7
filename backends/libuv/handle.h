// Owning libuv's handles.  libuv lets go of a handle some time after uv_close, so its memory must outlive its owner: each handle
// is a block of its own, which frees itself in the close callback.
#pragma once

#include <uv.h>

#include <memory>
#include <type_traits>

#include "backends/posix/errno_code.h"
#include "twinloop/error.h"

namespace twinloop::detail {

// The part of a handle that libuv knows, also of a struct that adds members of ours to one.
template <class T>
uv_handle_t* as_handle(T* handle) noexcept {
  return reinterpret_cast<uv_handle_t*>(handle);
}

struct CloseHandle {
  template <class T>
  void operator()(T* handle) const noexcept {
    static_assert(std::is_standard_layout_v<T>);
    uv_close(as_handle(handle), [](uv_handle_t* closed) { delete reinterpret_cast<T*>(closed); });
  }
};

template <class T>
using Handle = std::unique_ptr<T, CloseHandle>;

inline void check_uv(int status) {
  if (status < 0) throw Error(from_errno(-status), "making a libuv loop");
}

template <class T, class... Args>
Handle<T> make_handle(uv_loop_t& loop, void* owner, int (*init)(uv_loop_t*, T*, Args...),
                      std::type_identity_t<Args>... args) {
  auto block = std::make_unique<T>();
  check_uv(init(&loop, block.get(), args...));
  block->data = owner;
  return Handle<T>(block.release());
}

}  // namespace twinloop::detail
