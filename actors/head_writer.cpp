#include "actors/head_writer.hpp"

#include "events/node.hpp"

#include <algorithm>

namespace runledger {

namespace {

constexpr std::size_t events_at_a_time = 2048;
constexpr std::int64_t head_retry_ms = 5000;

} // namespace

head_writer::head_writer(services_ptr s, std::uint32_t partition)
    : services_(std::move(s)), partition_(partition) {
  const auto& wanted = services_->settings.heads;
  if (!wanted.key)
    return;
  const auto& claim = services_->partitions.claim_of(partition);
  keeper_.emplace(services_->log, claim);
  if (!wanted.folder.empty())
    files_.emplace(wanted.folder, claim.ledger, claim.head.partition_key);
}

void head_writer::start() {
  if (!keeper_)
    return;
  keeper_->start();
  write_lines({});
}

bool head_writer::catch_up() {
  if (!keeper_ || lost_)
    return false;
  auto now = now_ms(); // Which may have gone back.
  uncovered_since_ = std::min(uncovered_since_, now);
  not_before_ = std::min(not_before_, now + head_retry_ms);
  look_again_ = std::min(look_again_, now + head_retry_ms);
  auto before = keeper_->uncovered();
  bool more = keeper_->advance(events_at_a_time);
  auto heads = keeper_->take_heads();
  if (before == 0 || !heads.empty())
    uncovered_since_ = now;
  if (!heads.empty())
    write_lines(std::move(heads));
  if (!registered_ && keeper_->uncovered() > 0 && now >= look_again_) {
    registered_ = is_registered();
    look_again_ = now + head_retry_ms;
  }
  if (keeper_->failed())
    warn_once("no tree heads are written any more: " + *keeper_->failed());
  return more;
}

/// The node's stream may live in a partition that another process holds.
bool head_writer::is_registered() const {
  auto known = node::read(services_->log, services_->settings.node);
  return known && !known->keys.empty()
         && known->keys.back().key == services_->settings.heads.key->public_part();
}

/// The day files are a convenience: what cannot be written now is completed with the next head.
void head_writer::write_lines(std::vector<signed_tree_head> heads) {
  if (!files_)
    return;
  result<void, std::string> written;
  if (files_behind_)
    written = files_->complete(services_->log);
  for (std::size_t i = 0; written && i < heads.size(); ++i)
    written = files_->append(heads[i]);
  files_behind_ = !written;
  if (!written)
    warn_once(written.error());
}

void head_writer::warn_once(const std::string& why) {
  if (std::exchange(warned_, why) != why)
    services_->warn(why);
}

bool head_writer::due() const {
  if (!keeper_ || lost_ || !registered_ || !keeper_->current() || keeper_->uncovered() == 0
      || now_ms() < not_before_)
    return false;
  const auto& wanted = services_->settings.heads;
  return keeper_->uncovered() >= wanted.events || now_ms() - uncovered_since_ >= wanted.interval_ms;
}

std::shared_ptr<record> head_writer::make() const {
  const auto& s = services_->settings;
  return keeper_->make_head(s.node, *s.heads.key, services_->clock.now());
}

void head_writer::wrote(const append_result& result) {
  if (result.outcome == append_outcome::accepted)
    return;
  lost_ = result.outcome == append_outcome::rejected && result.why == verdict::wrong_epoch;
  not_before_ = now_ms() + head_retry_ms;
}

std::optional<std::int64_t> head_writer::due_in() const {
  if (!keeper_ || lost_ || keeper_->failed() || keeper_->uncovered() == 0)
    return std::nullopt;
  if (!registered_)
    return std::clamp<std::int64_t>(look_again_ - now_ms(), 0, head_retry_ms);
  auto interval = services_->settings.heads.interval_ms;
  auto by_age = std::clamp<std::int64_t>(uncovered_since_ + interval - now_ms(), 0, interval);
  auto retry = std::clamp<std::int64_t>(not_before_ - now_ms(), 0, head_retry_ms);
  return std::max(by_age, retry);
}

} // namespace runledger
