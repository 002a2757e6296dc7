// What nearly every file of ours includes, parsed once for each target: a third of the build's time.  A file still includes what it
// uses; the lint's build and the one to wasm compile it without this.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "twinloop/all.h"
