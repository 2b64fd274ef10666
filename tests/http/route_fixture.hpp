#pragma once

#include "events/log/file_blob_store.hpp"
#include "events/log/memory_log.hpp"
#include "http/context.hpp"
#include "tests/support/history.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace runledger::http {

/// What handlers work on, without a server before it.
class route_fixture : public ::testing::Test {
protected:
  test::temp_folder folder;
  memory_log log;
  std::unique_ptr<file_blob_store> blobs = std::move(*file_blob_store::open(folder / "blobs"));
  views::view_runner views{log, {.path = folder / "views.db"}};
  net::io_context io{1};
  test::hand_clock clock;
  key_ring keys{clock};
  url_signer signer{std::string(64, 's')};
  route_context context{io, log, *blobs, views, clock, keys, signer, folder.path()};
};

} // namespace runledger::http
