#include "events/partition.hpp"

#include "events/chain.hpp"
#include "events/json_writer.hpp"
#include "events/log/append_and_wait.hpp"

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

class taker {
public:
  taker(event_log& log, std::uint32_t partition, std::string_view node, const wall_clock& clock,
        id_source& ids, std::chrono::milliseconds patience)
      : log_(log),
        partition_(partition),
        node_(node),
        clock_(clock),
        ids_(ids),
        patience_(patience),
        stream_(partition_stream(log.topic(), partition)) {}

  result<partition_claim, claim_error> run() {
    for (int i = 0; i < claim_attempts; ++i) {
      if (auto opened = ensure_opened(); !opened)
        return opened.error();
      auto head = log_.head(stream_);
      if (!head)
        return from_read(head.error());
      if (!*head)
        continue; // The founding event was refused: another process has written one; look again.
      auto claim = make_claim(**head);
      auto epoch = claim->epoch;
      auto written = append(claim);
      if (written.outcome == append_outcome::unavailable)
        return claim_error{claim_error::kind::unavailable, written.detail};
      if (auto mine = read_back(*claim); !mine)
        return mine.error();
      else if (*mine)
        return partition_claim{partition_, epoch, ledger_, head_after(*claim)};
    }
    return claim_error{claim_error::kind::lost,
                       stream_.value + " was claimed by others at every attempt"};
  }

private:
  append_result append(const std::shared_ptr<record>& r) {
    return append_and_wait(log_, append_request{{r}}, patience_);
  }

  envelope attributes(std::string_view name, std::string data) const {
    envelope e;
    e.stream = stream_;
    e.type = full_type(name, 1);
    e.workspace.value = system_workspace;
    e.partition_key = stream_.value;
    e.time = clock_.now();
    e.principal = "system";
    e.data = std::move(data);
    return e;
  }

  std::shared_ptr<record> make_opened() const {
    std::string data;
    json_writer{data}
        .begin_object()
        .member("partitions", log_.partition_count())
        .member("partitioner", partitioner_name)
        .member("ledger", ids_.ulid(clock_.now()))
        .end_object();
    return make_record({}, attributes("partition.opened", std::move(data)), 0, false);
  }

  std::shared_ptr<record> make_claim(const stream_head& head) const {
    auto epoch = log_.partition_state(partition_).epoch + 1;
    std::string data;
    json_writer{data}.begin_object().member("epoch", epoch).member("node", node_).end_object();
    return make_record(head, attributes("partition.claimed", std::move(data)), epoch, false);
  }

  /// Founds the stream, or checks that it was founded for a ledger like this one.
  result<void, claim_error> ensure_opened() {
    auto first = log_.read_stream(stream_, 1, 1);
    if (!first)
      return from_read(first.error());
    if (first->empty()) {
      auto written = append(make_opened());
      if (written.outcome == append_outcome::unavailable)
        return claim_error{claim_error::kind::unavailable, written.detail};
      first = log_.read_stream(stream_, 1, 1);
      if (!first)
        return from_read(first.error());
      if (first->empty())
        return claim_error{claim_error::kind::unavailable,
                           stream_.value + " could not be founded: " + written.detail};
    }
    return check_opened(first->front()->event);
  }

  result<void, claim_error> check_opened(const envelope& e) {
    auto opened = read_opened(e.data);
    if (e.type != full_type("partition.opened", 1) || !opened)
      return claim_error{claim_error::kind::corrupt,
                         stream_.value + " does not begin with partition.opened"};
    if (opened->partitions != log_.partition_count() || opened->partitioner != partitioner_name)
      return claim_error{claim_error::kind::wrong_partition_count,
                         "the ledger was opened with " + std::to_string(opened->partitions)
                             + " partitions (" + opened->partitioner + "), now there are "
                             + std::to_string(log_.partition_count())};
    ledger_ = opened->ledger;
    return {};
  }

  /// True if the claim stands in the ledger; false if another one took its place.
  result<bool, claim_error> read_back(const record& claim) const {
    auto stored = log_.read_stream(stream_, claim.event.seq, 1);
    if (!stored)
      return from_read(stored.error());
    return !stored->empty() && stored->front()->event.eventhash == claim.event.eventhash;
  }

  static stream_head head_after(const record& r) {
    return {r.event.seq, r.event.eventhash, r.event.partition_key, r.event.time};
  }

  event_log& log_;
  std::uint32_t partition_;
  std::string_view node_;
  const wall_clock& clock_;
  id_source& ids_;
  std::chrono::milliseconds patience_;
  stream_id stream_;
  std::string ledger_;
};

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

result<partition_claim, claim_error> take_partition(event_log& log, std::uint32_t partition,
                                                    std::string_view node, const wall_clock& clock,
                                                    id_source& ids,
                                                    std::chrono::milliseconds patience) {
  return taker{log, partition, node, clock, ids, patience}.run();
}

} // namespace runledger
