#include "events/partition.hpp"

#include "events/chain.hpp"
#include "events/codec.hpp"
#include "events/json_writer.hpp"
#include "events/log/append_and_wait.hpp"
#include "events/tree_head.hpp"

#include <charconv>

namespace runledger {

namespace {

constexpr std::string_view partitioner_name = "murmur2";
constexpr int claim_attempts = 5;

claim_error from_read(const read_error& e) {
  auto kind = e.what == read_error::kind::corrupt ? claim_error::kind::corrupt
                                                  : claim_error::kind::unavailable;
  return {kind, e.stream.value + " at seq " + std::to_string(e.seq) + ": " + e.detail};
}

stream_head head_after(const record& r) {
  return {r.event.seq, r.event.eventhash, r.event.partition_key, r.event.time};
}

} // namespace

// The text is ours to the byte, so it is taken apart without a JSON parser.
std::optional<opened_partition> read_opened(std::string_view data) {
  auto skip = [&](std::string_view text) {
    bool there = data.starts_with(text);
    data.remove_prefix(there ? text.size() : 0);
    return there;
  };
  auto until_quote = [&] {
    auto text = data.substr(0, data.find('"'));
    data.remove_prefix(text.size());
    return std::string{text};
  };
  opened_partition out;
  if (!skip("{\"partitions\":"))
    return std::nullopt;
  auto [end, ec] = std::from_chars(data.data(), data.data() + data.size(), out.partitions);
  if (ec != std::errc{} || out.partitions == 0)
    return std::nullopt;
  data.remove_prefix(static_cast<std::size_t>(end - data.data()));
  if (!skip(",\"partitioner\":\""))
    return std::nullopt;
  out.partitioner = until_quote();
  if (!skip("\",\"ledger\":\""))
    return std::nullopt;
  out.ledger = until_quote();
  return data == "\"}" ? std::optional{std::move(out)} : std::nullopt;
}

result<std::optional<partition_sealed>, read_error> seal_of(const event_log& log,
                                                            std::uint32_t partition) {
  const auto own = partition_stream(log.partition_name(partition));
  const auto head = log.head(own);
  if (!head)
    return head.error();
  if (!*head)
    return std::optional<partition_sealed>{};
  const auto last = log.read_stream(own, (*head)->seq, 1);
  if (!last)
    return last.error();
  const auto fact = last->empty() ? result<partition_event, decode_errc>{decode_errc::damaged}
                                  : decode<partition_event>(last->front()->event);
  const auto* seal = fact ? std::get_if<partition_sealed>(&*fact) : nullptr;
  return seal != nullptr ? std::optional{*seal} : std::nullopt;
}

envelope own_attributes(const stream_id& own, std::string type, std::string data, timestamp now) {
  envelope e;
  e.stream = own;
  e.type = std::move(type);
  e.workspace.value = system_workspace;
  e.partition_key = own.value;
  e.time = now;
  e.principal = "system";
  e.data = std::move(data);
  return e;
}

// -- taking ------------------------------------------------------------------------------------

partition_taking::partition_taking(const event_log& log, std::uint32_t partition, std::string node,
                                   const wall_clock& clock, id_source& ids, std::string ledger)
    : log_(log),
      partition_(partition),
      node_(std::move(node)),
      clock_(clock),
      ids_(ids),
      stream_(partition_stream(log.partition_name(partition))),
      ledger_(std::move(ledger)) {}

partition_taking::step partition_taking::next() {
  // All partitions of a ledger bear one id: that of the first, which is founded before another one.
  if (auto missing = found(0))
    return std::move(*missing);
  if (partition_ != 0)
    if (auto missing = found(partition_))
      return std::move(*missing);
  return claim();
}

partition_taking::step partition_taking::claim() {
  if (claim_) {
    if (last_ && last_->outcome == append_outcome::unavailable)
      return claim_error{claim_error::kind::unavailable, last_->detail};
    auto stored = log_.read_stream(stream_, claim_->event.seq, 1);
    if (!stored)
      return from_read(stored.error());
    if (!stored->empty() && stored->front()->event.eventhash == claim_->event.eventhash)
      return partition_claim{partition_, claim_->epoch, ledger_, head_after(*claim_)};
  }
  auto head = log_.head(stream_);
  if (!head)
    return from_read(head.error());
  if (log_.partition_state(partition_).sealed)
    return sealed_error(*head);
  if (++attempts_ > claim_attempts || !*head)
    return claim_error{claim_error::kind::lost,
                       stream_.value + " was claimed by others at every attempt"};
  claim_ = make_claim(**head);
  last_.reset();
  return append_request{{claim_}};
}

claim_error partition_taking::sealed_error(const std::optional<stream_head>& head) const {
  auto seal = seal_of(log_, partition_);
  if (!seal)
    return from_read(seal.error());
  auto detail = stream_.value + " was sealed at seq " + std::to_string(head ? head->seq : 0);
  if (*seal)
    detail += ": its ledger goes on as " + (*seal)->ledger + " in " + (*seal)->to;
  return {claim_error::kind::sealed, std::move(detail)};
}

/// What is to be done before the partition is founded for a ledger like this one; nothing: it is.
std::optional<partition_taking::step> partition_taking::found(std::uint32_t partition) {
  const auto& name = log_.partition_name(partition);
  auto own = partition_stream(name);
  auto first = log_.read_stream(own, 1, 1);
  if (!first)
    return from_read(first.error());
  if (!first->empty())
    return check_opened(first->front()->event, name);
  if (last_ && founding_ == partition)
    return claim_error{claim_error::kind::unavailable,
                       last_->outcome == append_outcome::unavailable
                           ? last_->detail
                           : own.value + " could not be founded: " + last_->detail};
  last_.reset();
  founding_ = partition;
  return append_request{{make_opened(name)}};
}

std::optional<partition_taking::step> partition_taking::check_opened(const envelope& e,
                                                                     const topic_partition& name) {
  auto opened = read_opened(e.data);
  if (e.type != full_type("partition.opened", 1) || !opened)
    return claim_error{claim_error::kind::corrupt,
                       e.stream.value + " does not begin with partition.opened"};
  if (opened->partitions != name.count || opened->partitioner != partitioner_name)
    return claim_error{claim_error::kind::wrong_partition_count,
                       "the topic `" + name.topic + "` was opened with "
                           + std::to_string(opened->partitions) + " partitions ("
                           + opened->partitioner + "), now there are "
                           + std::to_string(name.count)};
  if (!ledger_.empty() && opened->ledger != ledger_)
    return claim_error{claim_error::kind::foreign, e.stream.value + " is of the ledger "
                                                       + opened->ledger
                                                       + ", the first partition of " + ledger_};
  ledger_ = opened->ledger;
  return std::nullopt;
}

envelope partition_taking::attributes(const stream_id& own, std::string_view name,
                                      std::string data) const {
  return own_attributes(own, full_type(name, 1), std::move(data), clock_.now());
}

std::shared_ptr<record> partition_taking::make_opened(const topic_partition& name) const {
  std::string data;
  json_writer{data}
      .begin_object()
      .member("partitions", name.count)
      .member("partitioner", partitioner_name)
      .member("ledger", ledger_.empty() ? ids_.ulid(clock_.now()) : ledger_)
      .end_object();
  return make_record({}, attributes(partition_stream(name), "partition.opened", std::move(data)), 0,
                     false);
}

std::shared_ptr<record> partition_taking::make_claim(const stream_head& head) const {
  auto epoch = log_.partition_state(partition_).epoch + 1;
  std::string data;
  json_writer{data}.begin_object().member("epoch", epoch).member("node", node_).end_object();
  return make_record(head, attributes(stream_, "partition.claimed", std::move(data)), epoch, false);
}

result<partition_claim, claim_error> take_partition(event_log& log, std::uint32_t partition,
                                                    std::string_view node, const wall_clock& clock,
                                                    id_source& ids,
                                                    std::chrono::milliseconds patience,
                                                    std::string ledger) {
  partition_taking taking{log, partition, std::string{node}, clock, ids, std::move(ledger)};
  for (;;) {
    auto step = taking.next();
    if (auto* taken = std::get_if<partition_claim>(&step))
      return std::move(*taken);
    if (auto* failed = std::get_if<claim_error>(&step))
      return std::move(*failed);
    taking.wrote(append_and_wait(log, std::move(std::get<append_request>(step)), patience));
  }
}

} // namespace runledger
