// What the blocks of the guide see: they are excerpts and leave their includes out.
#pragma once

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "twinloop/all.h"
#include "twinloop/cares.h"
#include "twinloop/executor.h"
#include "twinloop/generator.h"
#include "twinloop/httpclient.h"
#include "twinloop/locks.h"
#include "twinloop/loop_threads.h"
#include "twinloop/net.h"
#include "twinloop/periodic.h"
#include "twinloop/process.h"
#include "twinloop/queues.h"
#include "twinloop/race.h"
#include "twinloop/rate_limiter.h"
#include "twinloop/remote.h"
#include "twinloop/retry.h"
#include "twinloop/run_main.h"
#include "twinloop/shared_future.h"
#include "twinloop/shield.h"
#include "twinloop/std_future.h"
#include "twinloop/systemd.h"
#include "twinloop/task_group.h"
#include "twinloop/tasks.h"
#include "twinloop/tcpserver.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"
#include "twinloop/trace.h"
#include "twinloop/udp.h"
#include "twinloop/wait_iterator.h"
#include "twinloop/websocket_connection.h"

#if __has_include("twinloop/websocket_handler.h")
#include "twinloop/websocket_handler.h"
#endif

#if __has_include("twinloop/tls.h")
#include "twinloop/tls.h"
#endif

#if __has_include("twinloop/web.h")
#include "twinloop/event_stream.h"
#include "twinloop/static_files.h"
#include "twinloop/upload_handler.h"
#include "twinloop/web.h"
#endif

#if __has_include("twinloop/libuv.h")
#include <uv.h>

#include "twinloop/libuv.h"
#endif

#if __has_include("twinloop/js.h")
#include "twinloop/js.h"
#endif

using namespace std::chrono_literals;
using namespace twinloop;

// Defined in the first block of coroutines.md, used in later ones.
Future<std::string> ask(IOStream& stream, std::string question);
// Defined in streams.md.
Future<void> echo(IOStream stream);
