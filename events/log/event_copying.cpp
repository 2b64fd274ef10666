#include "events/log/event_copying.hpp"

#include "events/codec.hpp"
#include "events/fail_point.hpp"
#include "events/json.hpp"
#include "events/log/append_and_wait.hpp"
#include "events/named_contents.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace runledger {

namespace {

constexpr std::size_t source_page = 256;
constexpr std::size_t most_group_bytes = std::size_t{4} << 20;
constexpr std::chrono::milliseconds put_again{100};

copy_error failed(std::string why) {
  return {copy_error::kind::failed, std::move(why)};
}

copy_error damaged(const std::string& place, const std::string& why) {
  return {copy_error::kind::damaged, "the source is damaged at " + place + ": " + why};
}

copy_error from_claim(const claim_error& e) {
  const bool other = e.what == claim_error::kind::foreign || e.what == claim_error::kind::sealed
                     || e.what == claim_error::kind::wrong_partition_count;
  return {other ? copy_error::kind::refused : copy_error::kind::failed,
          "the target cannot be taken: " + e.detail};
}

copy_error not_written(const append_result& how) {
  if (how.outcome == append_outcome::rejected)
    return {copy_error::kind::in_use, "the target refuses an event (" + how.detail
                                          + "): does another process write to it? Stop that one, "
                                            "then run this again"};
  return failed("the target cannot be written: " + how.detail);
}

bool is_of_beginning(const record& r, std::string_view node) {
  if (!r.damage.empty() || kind_of(r.event.stream) != stream_kind::partition)
    return false;
  if (r.event.type == full_type("partition.opened", 1)
      || r.event.type == full_type(ledger_copy_started::name, 1))
    return true;
  if (r.event.type != full_type("partition.claimed", 1))
    return false;
  const auto data = json::parse(r.event.data);
  const auto by = data ? data->root().find("node") : std::nullopt;
  return by && by->is_string() && by->string() == node;
}

} // namespace

result<bool, read_error> holds_no_more_than_a_beginning(const event_log& to,
                                                        std::string_view node) {
  for (std::uint32_t p = 0; p < to.partition_count(); ++p)
    for (std::int64_t at = 0;;) {
      const auto page = to.read_partition(p, at, source_page);
      if (!page)
        return page.error();
      if (page->empty())
        break;
      for (const auto& r : *page)
        if (!is_of_beginning(*r, node))
          return false;
      at = page->back()->offset + 1;
    }
  return true;
}

event_copying::event_copying(const copy_options& options, std::string node,
                             ledger_copy_started what, std::string to_ledger)
    : options_(options),
      from_(*options.from.log),
      to_(*options.to.log),
      node_(std::move(node)),
      to_ledger_(std::move(to_ledger)),
      what_(std::move(what)) {}

result<void, copy_error> event_copying::run(copy_report& report) {
  // A server may start on a target without a beginning: the less there is of it the better.
  if (auto taken = take_target(0, 1); !taken)
    return taken;
  if (auto started = write_start(); !started)
    return started;
  if (auto taken = take_target(1, to_.partition_count()); !taken)
    return taken;
  if (auto unused = expect_unused(); !unused)
    return unused;
  if (auto copied = copy_events(report); !copied)
    return copied;
  if (auto whole = check_trees(); !whole)
    return whole;
  return append_own(ledger_copied{what_.ledger, report.events});
}

result<void, copy_error> event_copying::take_target(std::uint32_t from, std::uint32_t before) {
  for (auto p = from; p < before; ++p) {
    if (options_.pause)
      options_.pause();
    fail_point("copy_step");
    auto claim = take_partition(to_, p, node_, *options_.clock, *options_.ids, options_.patience,
                                to_ledger_);
    if (!claim)
      return from_claim(claim.error());
    claims_.push_back(*std::move(claim));
  }
  return {};
}

result<void, copy_error> event_copying::write_start() {
  const auto facts = copy_facts_of(to_);
  if (!facts)
    return failed("the target cannot be read: " + facts.error().detail);
  had_start_ = facts->started.has_value();
  if (had_start_)
    return {};
  if (auto unused = expect_unused(); !unused)
    return unused;
  return append_own(what_);
}

result<void, copy_error> event_copying::expect_unused() const {
  if (had_start_)
    return {};
  const auto unused = holds_no_more_than_a_beginning(to_, node_);
  if (!unused)
    return failed("the target cannot be read: " + unused.error().detail);
  if (!*unused)
    return copy_error{copy_error::kind::refused,
                      "a server has written to the target before the copy had begun there: remove "
                      "what is there, then run this again"};
  return {};
}

result<void, copy_error> event_copying::append_own(partition_event fact) {
  const auto own = partition_stream(to_.partition_name(0));
  const auto head = to_.head(own);
  if (!head || !*head)
    return failed("the target cannot be read: " + (head ? own.value : head.error().detail));
  auto encoded = encode(fact);
  auto event = make_record(
      **head,
      own_attributes(own, std::move(encoded.type), std::move(encoded.data), options_.clock->now()),
      claims_.front().epoch, false);
  fail_point("copy_step");
  const auto written = append_and_wait(to_, append_request{{std::move(event)}}, options_.patience);
  fail_point("copy_step");
  if (written.outcome != append_outcome::accepted)
    return not_written(written);
  return {};
}

result<void, copy_error> event_copying::copy_events(copy_report& report) {
  std::uint64_t total = 0;
  for (const auto& each : what_.partitions)
    total += each.events;
  for (std::uint32_t p = 0; p < from_.partition_count(); ++p) {
    auto& c = cursors_.emplace_back();
    c.partition = p;
    c.own = partition_stream(from_.partition_name(p));
    if (auto begun = go_on(c); !begun)
      return begun;
  }
  while (auto* c = next()) {
    const auto& r = *c->page[c->at];
    if (!r.damage.empty())
      return damaged(r.event.id() + ", offset " + std::to_string(r.offset), r.damage);
    const auto origin = to_text({what_.ledger, c->own.value, c->tree.size()});
    c->tree.add(r.event.eventhash);
    ++report.events;
    if (auto taken = take(r, origin, report); !taken)
      return taken;
    ++c->at;
    if (auto moved = go_on(*c); !moved)
      return moved;
    if (options_.progress)
      options_.progress(report.events, total);
  }
  return flush(report);
}

result<void, copy_error> event_copying::go_on(cursor& c) const {
  for (;;) {
    while (c.at < c.page.size() && c.page[c.at]->event.stream == c.own)
      ++c.at;
    if (c.at < c.page.size())
      return {};
    auto page = from_.read_partition(c.partition, c.position, source_page);
    if (!page && page.error().what == read_error::kind::corrupt)
      return damaged(c.own.value, page.error().detail);
    if (!page)
      return failed("the source cannot be read: " + page.error().detail);
    c.page = *std::move(page);
    c.at = 0;
    if (c.page.empty())
      return {};
    c.position = c.page.back()->offset + 1;
  }
}

/// The partition whose next event is the oldest; nullptr: all are at their ends.
event_copying::cursor* event_copying::next() {
  cursor* out = nullptr;
  for (auto& c : cursors_)
    if (c.at < c.page.size()
        && (out == nullptr || c.page[c.at]->event.time < out->page[out->at]->event.time))
      out = &c;
  return out;
}

result<void, copy_error> event_copying::take(const record& r, const std::string& origin,
                                             copy_report& report) {
  const auto& e = r.event;
  const auto there = copied_of(e.stream);
  if (!there)
    return there.error();
  // Also of what is there: this call may have been given another place for contents.
  if (auto put = put_contents(r, report); !put)
    return put;
  if (e.seq <= *there)
    return {};
  const auto home = partition_of(e.stream, e.partition_key, to_.partition_names());
  if (!home)
    return failed("the target has no place for " + e.id());
  auto copy = std::make_shared<record>();
  copy->event = e;
  copy->epoch = claims_[*home].epoch;
  copy->open = r.open;
  copy->due_ms = r.due_ms;
  copy->origin = origin;
  copied_[e.stream] = e.seq;
  group_bytes_ += e.data.size();
  group_.push_back(append_request{{std::move(copy)}});
  if (group_.size() < options_.group_events && group_bytes_ < most_group_bytes)
    return {};
  return flush(report);
}

result<std::uint64_t, copy_error> event_copying::copied_of(const stream_id& stream) {
  if (const auto known = copied_.find(stream); known != copied_.end())
    return known->second;
  const auto head = to_.head(stream);
  if (!head)
    return failed("the target cannot be read: " + head.error().detail);
  if (*head)
    if (auto same = expect_same(stream, **head); !same)
      return same.error();
  return copied_[stream] = *head ? (*head)->seq : 0;
}

result<void, copy_error> event_copying::expect_same(const stream_id& stream,
                                                    const stream_head& there) const {
  const auto here = from_.read_stream(stream, there.seq, 1);
  if (!here && here.error().what == read_error::kind::corrupt)
    return damaged(stream.value, here.error().detail);
  if (!here)
    return failed("the source cannot be read: " + here.error().detail);
  // Each event names the one before it: the same last one is the same stream.
  if (here->empty() || here->front()->event.eventhash != there.hash)
    return copy_error{copy_error::kind::refused,
                      "the target has another event " + stream.value + ":"
                          + std::to_string(there.seq)
                          + " than the source: somebody has written to it, so it cannot become a "
                            "whole copy. Remove what is there, then run this again"};
  return {};
}

result<void, copy_error> event_copying::put_contents(const record& r, copy_report& report) {
  for (const auto& named : named_contents(r.event)) {
    if (!contents_.insert(named.id).second)
      continue;
    const auto name = "the content " + to_hex(named.id) + " of " + r.event.id();
    if (options_.from.blobs == nullptr || options_.to.blobs == nullptr)
      return failed(name + " cannot be copied: no folder or topic of blobs is known at the "
                    + (options_.from.blobs == nullptr ? "source" : "target"));
    const auto carried = carry_patiently(named.id);
    if (!carried && carried.error() == blob_errc::unavailable)
      return failed(name + " cannot be read, or not be written");
    if (!carried || carried->id != named.id)
      return copy_error{copy_error::kind::damaged,
                        name
                            + (!carried && carried.error() == blob_errc::missing
                                   ? " is missing"
                                   : " is not the one that was stored")};
    ++report.contents;
  }
  return {};
}

/// A topic takes large contents more slowly than they are read, and says so.
result<blob_ref, blob_errc> event_copying::carry_patiently(const digest& id) const {
  using clock = std::chrono::steady_clock;
  const auto until = clock::now() + options_.patience;
  for (;;) {
    if (options_.pause)
      options_.pause();
    auto carried = carry(id);
    if (carried || carried.error() != blob_errc::unavailable || clock::now() >= until)
      return carried;
    std::this_thread::sleep_for(put_again);
  }
}

result<blob_ref, blob_errc> event_copying::carry(const digest& id) const {
  if (const auto path = options_.from.blobs->path_of(id)) {
    const int fd = ::open(path->c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
      return blob_errc::unavailable;
    auto put = options_.to.blobs->put_file(fd, ~std::uint64_t{0});
    ::close(fd);
    return put;
  }
  const auto content = options_.from.blobs->get(id);
  return content ? options_.to.blobs->put(*content) : result<blob_ref, blob_errc>{content.error()};
}

result<void, copy_error> event_copying::flush(copy_report& report) {
  if (group_.empty())
    return {};
  const auto count = group_.size();
  group_bytes_ = 0;
  fail_point("copy_step");
  const auto results = append_group_and_wait(to_, std::exchange(group_, {}), options_.patience);
  fail_point("copy_step");
  for (const auto& each : results)
    if (each.outcome != append_outcome::accepted)
      return not_written(each);
  report.appended += count;
  return {};
}

result<void, copy_error> event_copying::check_trees() const {
  for (std::size_t i = 0; i < cursors_.size(); ++i) {
    const auto& tree = cursors_[i].tree;
    const auto& sealed = what_.partitions[i];
    if (tree.size() != sealed.events || tree.root() != sealed.root)
      return damaged(sealed.partition, std::to_string(tree.size()) + " events are not the "
                                           + std::to_string(sealed.events)
                                           + " that it was sealed with");
  }
  return {};
}

} // namespace runledger
