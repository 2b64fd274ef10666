#pragma once

#include "http/server.hpp"

namespace edge_test {

/// Writes a key and a certificate for 127.0.0.1 that it signed itself.
void make_certificate(const runledger::http::tls_files& to);

} // namespace edge_test
