// What the blocks of the guide see: they are excerpts and leave their includes out.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <string>

#include "twinloop/executor.h"
#include "twinloop/net.h"
#include "twinloop/periodic.h"
#include "twinloop/remote.h"
#include "twinloop/run_main.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"
#include "twinloop/trace.h"

#if __has_include("twinloop/libuv.h")
#include <uv.h>

#include "twinloop/libuv.h"
#endif

using namespace std::chrono_literals;
using namespace twinloop;
