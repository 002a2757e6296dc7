// A build without libuv.
#include "drivers.h"

std::vector<HostedDriver> hosted_drivers() { return {}; }
