#include "http/query_pool.hpp"

#include <stdexcept>

namespace runledger::http {

query_pool::query_pool(const std::string& views_path, const event_log& log, const blob_store& blobs,
                       std::size_t threads, views::replaced_file* replaced) {
  for (std::size_t i = 0; i < threads; ++i) {
    auto opened = views::view_reader::open(views_path, log, &blobs, replaced);
    if (!opened)
      throw std::runtime_error("the views cannot be opened: " + opened.error().detail);
    readers_.push_back(std::move(*opened));
  }
  for (auto& reader : readers_)
    threads_.emplace_back([this, &reader] { work(*reader); });
}

query_pool::~query_pool() {
  stop();
}

void query_pool::stop() {
  std::deque<job> dropped;
  {
    std::lock_guard lock{mutex_};
    ending_ = true;
    dropped.swap(jobs_);
  }
  wake_.notify_all();
  for (auto& thread : threads_)
    if (thread.joinable())
      thread.join();
}

void query_pool::run(job what) {
  {
    std::lock_guard lock{mutex_};
    if (ending_)
      return;
    jobs_.push_back(std::move(what));
  }
  wake_.notify_one();
}

std::size_t query_pool::waiting() const {
  std::lock_guard lock{mutex_};
  return jobs_.size();
}

void query_pool::work(views::view_reader& reader) {
  for (;;) {
    job next;
    {
      std::unique_lock lock{mutex_};
      wake_.wait(lock, [&] { return ending_ || !jobs_.empty(); });
      if (jobs_.empty())
        return;
      next = std::move(jobs_.front());
      jobs_.pop_front();
    }
    next(reader);
  }
}

} // namespace runledger::http
