#include "tests/support/kafka_feed.hpp"

#include "events/chain.hpp"
#include "events/json_writer.hpp"

#include <fmt/format.h>

#include <array>

namespace runledger::test {

namespace {

constexpr auto ledger_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

std::string without_prefix(const std::string& topic) {
  return topic.substr(topic.rfind('.') + 1);
}

/// Makes the records of one feed. It knows through the fold what was accepted, so that it can go on
/// from there, honestly or not.
class feed_maker {
public:
  feed_maker(dice& roll, const std::string& prefix) : roll_(roll), prefix_(prefix) {}

  std::vector<placed_record> make(int count) {
    for (const auto& [topic, partitions] : usual_topics)
      for (std::uint32_t n = 0; n < partitions; ++n) {
        at(topic, n);
        found();
        claim(here().head.epoch + 1);
      }
    for (int i = 0; i < count; ++i) {
      const auto& [topic, partitions] = roll_.pick(usual_topics);
      at(topic, static_cast<std::uint32_t>(roll_.below(partitions)));
      step();
      if (i == count * 4 / 5) { // One partition ends, and not everybody knows it.
        govern_by(roll_.coin() ? new_stream(true) : own(), "partition.sealed", epoch());
        govern_by(own(), "partition.sealed", epoch());
      }
    }
    return std::move(records_);
  }

private:
  void at(const std::string& topic, std::uint32_t number) {
    topic_ = topic;
    number_ = number;
    for (const auto& [name, partitions] : usual_topics)
      if (name == topic)
        partitions_ = partitions;
  }
  feed_fold::partition& here() { return fold_.at(prefix_ + '.' + topic_, number_); }
  std::string own() const { return partition_stream(topic_, number_).value; }

  // What is written.

  void write(kafka_record r) {
    const auto topic = prefix_ + '.' + topic_;
    records_.push_back({topic, number_, next_offset_[{topic, number_}]++, std::move(r)});
    fold_.take(records_.back());
  }
  void write(const record& r) {
    const auto mode =
        roll_.percent(20) ? kafka::content_mode::structured : kafka::content_mode::binary;
    write(written(r, mode));
  }

  stream_head head_of(const std::string& stream) {
    const auto found = here().streams.find(stream);
    return found == here().streams.end() ? stream_head{} : found->second;
  }
  envelope attributes(const std::string& stream, std::string_view type) {
    envelope e;
    e.stream.value = stream;
    e.partition_key = stream;
    e.type = full_type(type, 1);
    e.workspace.value = "default";
    e.time = from_ms(1'700'000'000'000 + static_cast<std::int64_t>(records_.size()));
    e.causation_id = "cmd_1";
    e.principal = "system";
    e.data = fmt::format(R"({{"n":{},"text":"é, \n"}})", roll_.below(1000));
    return e;
  }
  std::shared_ptr<record> next_of(envelope e, std::uint64_t epoch) {
    const auto head = head_of(e.stream.value);
    return make_record(head, std::move(e), epoch, roll_.coin());
  }

  void found() {
    auto e = attributes(own(), "partition.opened");
    e.data = fmt::format(R"({{"partitions":{},"partitioner":"murmur2","ledger":"{}"}})",
                         partitions_, ledger_id);
    write(*next_of(std::move(e), 0));
  }
  void claim(std::uint64_t epoch) { claim(own(), epoch, epoch); }
  void claim(const std::string& stream, std::uint64_t says, std::uint64_t epoch) {
    auto e = attributes(stream, "partition.claimed");
    e.data = fmt::format(R"({{"epoch":{},"node":"node_{}"}})", says, roll_.below(3));
    write(*next_of(std::move(e), epoch));
  }

  void govern_by(const std::string& stream, std::string_view type, std::uint64_t epoch) {
    auto e = attributes(stream, type);
    e.data = R"({"to":"kafka:b/p","ledger":"01ARZ3NDEKTSV4RRFFQ69G5FAV"})";
    write(*next_of(std::move(e), epoch));
  }

  /// An entity that lives in this partition, or in another one of the topic.
  std::string new_stream(bool lives_here) {
    return new_stream(topic_ == "runs"      ? "sess_"
                      : topic_ == "workers" ? "wrk_"
                                            : "ag_",
                      lives_here);
  }
  std::string new_stream(const std::string& prefix, bool lives_here) {
    for (;;) {
      auto id = prefix + make_ulid(from_ms(1'700'000'000'000), roll_.next(), roll_.next());
      if (partitions_ == 1 || (partition_for(id, partitions_) == number_) == lives_here)
        return id;
    }
  }
  /// A stream that exists here, or a new one.
  envelope some_event() {
    std::vector<std::string> known;
    for (const auto& [stream, head] : here().streams)
      if (stream != own())
        known.push_back(stream);
    if (known.empty() || roll_.percent(30))
      return attributes(new_stream(true), "session.turn_accepted");
    const auto stream = roll_.pick(known);
    if (stream.starts_with("sess_") && roll_.coin())
      return first_event_of_run(stream, "cmd_" + std::to_string(roll_.below(5)));
    return attributes(stream, "run.step_started");
  }
  envelope first_event_of_run(const std::string& session, const std::string& command) {
    auto e =
        attributes(derive_run_id(session_id{session}, command_id{command}).value, "run.started");
    e.partition_key = session;
    e.causation_id = command;
    return e;
  }
  std::uint64_t epoch() { return here().head.epoch; }

  void step() {
    static constexpr std::array moves{&feed_maker::repeat,       &feed_maker::stale_writer,
                                      &feed_maker::out_of_order, &feed_maker::forged_content,
                                      &feed_maker::wrong_key,    &feed_maker::wrong_home,
                                      &feed_maker::govern,       &feed_maker::not_ours};
    if (roll_.percent(55))
      write(*next_of(some_event(), epoch()));
    else
      (this->*moves[roll_.below(moves.size())])();
  }

  void repeat() {
    const auto again =
        records_[records_.size() - 1 - roll_.below(std::min<std::size_t>(records_.size(), 20))];
    at(without_prefix(again.topic), again.partition);
    write(again.content);
  }
  /// A writer that does not know of the latest claim; sometimes the rightful one writes at the same
  /// place next.
  void stale_writer() {
    const auto e = some_event();
    write(*next_of(e, roll_.coin() ? epoch() - 1 : epoch() + 1));
    if (roll_.coin())
      write(*next_of(e, epoch()));
  }
  void out_of_order() {
    const auto e = some_event();
    auto head = head_of(e.stream.value);
    if (roll_.coin())
      head.seq += 1 + roll_.below(2);
    else if (head.seq > 0 && roll_.coin())
      --head.seq;
    else
      head.hash = sha256("another history");
    write(*make_record(head, e, epoch(), false));
  }
  void forged_content() {
    auto r = next_of(some_event(), epoch());
    if (roll_.coin())
      r->event.data += ' ';
    else if (roll_.coin())
      r->event.principal = "key_forged";
    else
      r->event.eventhash = sha256(r->event.id());
    write(*r);
  }
  void wrong_key() {
    auto e = some_event();
    auto r = next_of(e, epoch());
    if (roll_.coin()) {
      r->event.partition_key = roll_.coin() ? new_stream(true) : new_stream(false);
      seal(r->event);
      return write(*r);
    }
    auto out = written(*r, kafka::content_mode::binary);
    out.key = roll_.coin() ? std::optional{new_stream(true)} : std::nullopt;
    write(std::move(out));
  }
  void wrong_home() {
    if (roll_.percent(30)) {
      const auto kind =
          roll_.pick(std::vector<std::string>{"sess_", "wrk_", "ag_", "queue/", "ws/"});
      auto stream = new_stream(kind, true) + (roll_.coin() && kind == "ws/" ? "/budget" : "");
      return write(*next_of(attributes(stream, "session.turn_accepted"), epoch()));
    }
    if (roll_.coin())
      return write(*next_of(attributes(new_stream(false), "session.turn_accepted"), epoch()));
    auto e = first_event_of_run(new_stream(true), "cmd_1");
    e.causation_id = "cmd_2";
    write(*next_of(std::move(e), epoch()));
  }
  void govern() {
    switch (roll_.below(6)) {
      case 0:
        return found();
      case 1:
        return claim(own(), epoch() + 1, epoch());
      case 2:
        return claim(epoch() + roll_.below(3));
      case 3:
        return claim(new_stream(true), epoch() + 1, epoch() + 1);
      case 4:
        return claim(partition_stream(topic_, number_ + 1).value, epoch() + 1, epoch() + 1);
      default:
        return claim(epoch() + 1);
    }
  }
  void not_ours() {
    auto r = written(*next_of(some_event(), epoch()), kafka::content_mode::binary);
    switch (roll_.below(7)) {
      case 0:
        r = {};
        r.value = "hello";
        break;
      case 1:
        r.value.reset();
        break;
      case 2:
        r.headers.erase(r.headers.begin() + static_cast<std::ptrdiff_t>(roll_.below(4)));
        break;
      case 3:
        r["ce_principal"] = "key_\xFF";
        break;
      case 4:
        r.headers.push_back({"ce_type", "x"});
        break;
      case 5:
        r["runledger_epoch"] = "0" + *r["runledger_epoch"];
        break;
      default:
        r["ce_time"] = "2023-02-30T00:00:00.000Z";
    }
    write(std::move(r));
  }

  dice& roll_;
  std::string prefix_, topic_;
  std::uint32_t number_ = 0, partitions_ = 0;
  std::map<std::pair<std::string, std::uint32_t>, std::int64_t> next_offset_;
  std::vector<placed_record> records_;
  feed_fold fold_;
};

} // namespace

std::string kcat_line(const placed_record& r) {
  std::string out;
  json_writer json{out};
  const auto text = [&](std::string_view name, const std::optional<std::string>& value) {
    value ? json.member(name, *value) : json.null_member(name);
  };
  json.begin_object().member("topic", r.topic).member("partition", r.partition);
  json.member("offset", r.offset).key("headers").begin_array();
  for (const auto& header : r.content.headers) {
    json.value(header.name);
    header.value ? json.value(*header.value) : json.null();
  }
  json.end_array();
  text("key", r.content.key);
  text("payload", r.content.value);
  json.end_object();
  return out;
}

feed_fold::partition& feed_fold::at(const std::string& topic, std::uint32_t number) {
  auto [found, fresh] = partitions_.try_emplace({topic, number});
  if (fresh) // The fold knows topics without their prefix.
    found->second.head = head_of_empty(number, {topic.substr(topic.rfind('.') + 1), number, 1});
  return found->second;
}

bool feed_fold::take(const placed_record& r) {
  const auto read = r.content.decode();
  if (!read) {
    ++verdicts_["unreadable"];
    return false;
  }
  auto& in = at(r.topic, r.partition);
  auto& e = *read->event;
  e.partition = r.partition;
  e.offset = r.offset;
  const auto head = in.streams.find(e.event.stream.value);
  const auto v = judge(in.head, head == in.streams.end() ? nullptr : &head->second, e);
  ++verdicts_[std::string{to_string(v)}];
  if (v != verdict::accepted)
    return false;
  advance(in.head, in.streams[e.event.stream.value], e);
  accepted_.push_back(e.event.id() + ' ' + to_hex(e.event.eventhash));
  return true;
}

std::vector<placed_record> random_feed(dice& roll, const std::string& prefix, int count) {
  return feed_maker{roll, prefix}.make(count);
}

} // namespace runledger::test
