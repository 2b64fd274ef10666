#include "projections/online_rebuild.hpp"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <utility>

namespace runledger::views {

namespace {

/// What the runner may be held up by: some milliseconds of folding.
constexpr std::int64_t near_enough = 4096;
/// Under a load that the rebuild hardly outruns, the runner goes the rest.
constexpr int most_rounds = 50;
constexpr int niceness = 5;

} // namespace

online_rebuild::online_rebuild(std::string path, const event_log& log,
                               std::function<offsets()> published, std::function<void()> ring)
    : path_(std::move(path)), log_(log), published_(std::move(published)), ring_(std::move(ring)) {}

online_rebuild::~online_rebuild() {
  stop();
}

void online_rebuild::on_end(std::function<void(const outcome&)> listener) {
  listener_ = std::move(listener);
}

bool online_rebuild::start() {
  std::lock_guard guard{mutex_};
  if (under_way_ || stopping_)
    return false;
  if (thread_.joinable())
    thread_.join(); // It has ended, or is about to.
  under_way_ = true;
  failure_.clear();
  done_ = 0;
  total_ = static_cast<std::uint64_t>(sum_of(published_()));
  thread_ = std::thread{[this] { prepare(); }};
  return true;
}

rebuild_status online_rebuild::status() const {
  std::lock_guard guard{mutex_};
  return {under_way_, done_, total_, failure_};
}

void online_rebuild::prepare() {
  // Of this thread alone, and of those that read for it.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), niceness);
  auto beside = views_beside::open(path_, log_);
  if (!beside)
    return ended(beside.error());
  made_ = {0, beside->continued_at()};
  if (auto built = build(*beside); !built) {
    beside->discard();
    return ended(built.error());
  }
  beside_ = std::move(*beside);
  waits_.store(true, std::memory_order_release);
  ring_();
}

result<void, std::string> online_rebuild::build(views_beside& beside) {
  const auto fold = [&]() -> result<void, std::string> {
    for (int round = 0; round < most_rounds; ++round) {
      auto folded = beside.fold(published_(), watch_from(beside));
      if (!folded)
        return folded.error();
      made_.events += *folded;
      if (sum_of(published_()) - sum_of(beside.position()) <= near_enough)
        break;
    }
    return {};
  };
  if (auto done = fold(); !done)
    return done;
  if (auto done = beside.complete(); !done)
    return done;
  return fold(); // What came while the indexes were made.
}

fold_watch online_rebuild::watch_from(const views_beside& beside) {
  const auto before = static_cast<std::uint64_t>(sum_of(beside.position()));
  return {[this] { return stopping_.load(); },
          [this, before](std::uint64_t done, std::uint64_t of) {
            done_ = before + done;
            total_ = before + of;
          }};
}

online_rebuild::outcome online_rebuild::finish(const offsets& reached,
                                               const std::function<void()>& close_live) {
  auto folded = beside_->fold(reached, watch_from(*beside_));
  if (!folded) {
    beside_->discard();
    return folded.error();
  }
  made_.events += *folded;
  close_live();
  if (auto done = beside_->put_in_place(); !done) {
    beside_->discard();
    return done.error();
  }
  return made_;
}

void online_rebuild::ended(const outcome& how) {
  waits_ = false;
  beside_.reset();
  ::malloc_trim(0);
  {
    std::lock_guard guard{mutex_};
    under_way_ = false;
    failure_ = how ? std::string{} : how.error();
  }
  if (listener_)
    listener_(how);
}

void online_rebuild::stop() {
  std::thread last;
  {
    std::lock_guard guard{mutex_};
    stopping_ = true;
    last = std::move(thread_);
  }
  if (last.joinable())
    last.join();
  if (beside_)
    beside_->discard();
  beside_.reset();
  waits_ = false;
}

} // namespace runledger::views
