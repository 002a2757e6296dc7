// A build without OpenSSL, or a browser.
#include "carriers.h"

std::vector<twinloop::testing::Carrier> twinloop::testing::secure_carriers() { return {}; }
