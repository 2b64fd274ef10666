#include "events/chain.hpp"

#include <algorithm>

namespace runledger {

std::shared_ptr<record> make_record(const stream_head& before, envelope attributes,
                                    std::uint64_t epoch, bool open,
                                    std::optional<std::int64_t> due_ms) {
  auto r = std::make_shared<record>();
  auto& e = r->event;
  e = std::move(attributes);
  e.seq = before.seq + 1;
  e.prevhash = before.hash;
  if (before.seq > 0) {
    e.partition_key = before.partition_key;
    e.time = std::max(e.time, before.time);
  }
  seal(e);
  r->epoch = epoch;
  r->open = open;
  r->due_ms = due_ms;
  return r;
}

void follow(stream_head& head, const record& r) {
  if (head.seq == 0)
    head.partition_key = r.event.partition_key;
  head.seq = r.event.seq;
  head.hash = r.event.eventhash;
  head.time = r.event.time;
}

const record& stream_writer::add(envelope attributes, std::uint64_t epoch, bool open,
                                 std::optional<std::int64_t> due_ms) {
  request_.events.push_back(make_record(head_, std::move(attributes), epoch, open, due_ms));
  follow(head_, *request_.events.back());
  return *request_.events.back();
}

} // namespace runledger
