// The one place that knows compilers.  Platforms are not compilers: they are folders under backends/.
#pragma once

#if defined(__GNUC__) && !defined(__clang__)
// gcc 12 lays out a wrong coroutine frame for `if (co_await f())` and the like: the handle is off by one word against the
// promise.  The resume and destroy pointers always lie directly before the promise, so there they are called from it.
#define TWINLOOP_RESUME_THROUGH_PROMISE 1
#else
#define TWINLOOP_RESUME_THROUGH_PROMISE 0
#endif

// A build that counts bytes rather than nanoseconds may set TWINLOOP_POOLS to 0 itself.
#if defined(TWINLOOP_POOLS)
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TWINLOOP_POOLS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TWINLOOP_POOLS 0
#endif
#endif
#ifndef TWINLOOP_POOLS
#define TWINLOOP_POOLS 1
#endif

// Whether callbacks, timers and awaits remember their place in the source and a loop's steps can be watched.  The same in the library
// and in all that includes its headers.
#ifndef TWINLOOP_INSPECTION
#define TWINLOOP_INSPECTION 1
#endif
