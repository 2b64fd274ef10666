#pragma once

#include "projections/view_reader.hpp"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace runledger::http {

/// A few threads that answer the questions which take longer than a look at one row: lists, pages
/// of events, sums. Each has a connection to the views of its own. Jobs are begun in the order in
/// which they came.
///
/// Threads: run() from any thread.
class query_pool {
public:
  /// Called on a thread of the pool. Throws nothing.
  using job = std::function<void(views::view_reader&)>;

  /// Throws std::runtime_error if the views cannot be opened.
  query_pool(const std::string& views_path, const event_log& log, const blob_store& blobs,
             std::size_t threads, views::replaced_file* replaced = nullptr);
  ~query_pool();
  query_pool(const query_pool&) = delete;
  query_pool& operator=(const query_pool&) = delete;

  void run(job what);
  /// Waits for the jobs under way and drops those that have not begun, and all that come later,
  /// without calling them. The destructor does so too.
  void stop();
  /// Jobs that have not begun.
  std::size_t waiting() const;

private:
  void work(views::view_reader& reader);

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<job> jobs_;
  bool ending_ = false;
  std::vector<std::unique_ptr<views::view_reader>> readers_;
  std::vector<std::thread> threads_;
};

} // namespace runledger::http
