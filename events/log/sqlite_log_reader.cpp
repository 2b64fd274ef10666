#include "events/log/sqlite_log_reader.hpp"

#include "events/copied_ledger.hpp"
#include "events/log/read_bounds.hpp"
#include "events/log/sqlite_rows.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <limits>

namespace runledger {

namespace {

std::int64_t sql_limit(std::size_t limit) {
  return static_cast<std::int64_t>(
      std::min<std::size_t>(limit, std::numeric_limits<std::int64_t>::max() / 2));
}

read_error corrupt(const stream_id& stream, std::uint64_t seq, std::int64_t offset,
                   std::string detail) {
  return {read_error::kind::corrupt, stream, seq, offset, std::move(detail)};
}

/// Checks the rows of one stream as they come: consecutive, sound, each following the one before.
class stream_checker {
public:
  stream_checker(const stream_id& stream, std::uint64_t first_seq)
      : stream_(stream), next_(first_seq) {}

  /// The row before the first that is wanted: only its hash counts.
  void follow(const record& r) {
    previous_ = r.event.eventhash;
    ++next_;
  }

  /// Nothing if the row is sound.
  std::optional<read_error> check(const record& r) {
    if (!r.damage.empty())
      return corrupt(stream_, next_, r.offset, r.damage);
    if (r.event.seq != next_)
      return corrupt(stream_, next_, -1, "the event is missing");
    if (r.event.prevhash != previous_)
      return corrupt(stream_, next_, r.offset, "the event does not follow its predecessor's hash");
    follow(r);
    return std::nullopt;
  }

private:
  const stream_id& stream_;
  std::uint64_t next_;
  digest previous_;
};

} // namespace

result<std::unique_ptr<sqlite_log_reader>, sqlite::error>
sqlite_log_reader::on(sqlite::connection db) {
  std::unique_ptr<sqlite_log_reader> out{new sqlite_log_reader{std::move(db)}};
  if (auto ready = out->prepare(); !ready)
    return ready.error();
  return out;
}

result<void, sqlite::error> sqlite_log_reader::prepare() {
  struct prepared {
    sqlite::statement& target;
    std::string sql;
  };
  auto origins = sqlite::has_origins(db_);
  if (!origins)
    return origins.error();
  has_origins_ = *origins;
  const auto select =
      "SELECT " + std::string{sqlite::event_columns}
      + (has_origins_ ? ", (SELECT origin FROM origins AS o WHERE o.\"offset\" = e.\"offset\")"
                      : "")
      + " FROM events AS e WHERE ";
  const prepared all[] = {
      {stream_, select + "stream = ?1 AND seq >= ?2 AND \"offset\" < ?4 ORDER BY seq LIMIT ?3"},
      {partition_, select + "\"offset\" >= ?1 AND \"offset\" < ?3 ORDER BY \"offset\" LIMIT ?2"},
      {head_, "SELECT seq, eventhash, partitionkey, time, \"offset\" FROM events"
              " WHERE stream = ?1 AND \"offset\" < ?2 ORDER BY seq DESC LIMIT 1"},
      {unfinished_, "SELECT stream, due_ms FROM unfinished AS u WHERE stream > ?1 AND (?3 IS NULL"
                    " OR ?3 = (SELECT \"partition\" FROM events WHERE stream = u.stream LIMIT 1))"
                    " ORDER BY stream LIMIT ?2"},
      {end_, "SELECT \"offset\" + 1 FROM events WHERE \"offset\" >= ?1 AND \"offset\" < ?2"
             " ORDER BY \"offset\" DESC LIMIT 1"},
      {last_claim_, select
                        + "stream = ?1 AND type = 'dev.runledger.partition.claimed.v1'"
                          " ORDER BY seq DESC LIMIT 1"},
      {from_seal_, select
                       + "stream = ?1 AND seq >= (SELECT seq FROM events WHERE stream = ?1"
                         " AND type = 'dev.runledger.partition.sealed.v1' ORDER BY seq LIMIT 1)"
                         " ORDER BY seq LIMIT 2"},
  };
  for (auto& p : all) {
    auto made = db_.prepare(p.sql);
    if (!made)
      return made.error();
    p.target = std::move(*made);
  }
  return {};
}

void sqlite_log_reader::take_row(const sqlite::statement& row, bool check_hashes,
                                 record& into) const {
  sqlite::read_event(row, check_hashes, into);
  if (has_origins_)
    into.origin = row.text(sqlite::event_column_count);
}

read_error sqlite_log_reader::failure(const stream_id& stream) const {
  auto e = db_.last_error();
  bool is_corrupt = e.primary() == SQLITE_CORRUPT || e.primary() == SQLITE_NOTADB;
  return {is_corrupt ? read_error::kind::corrupt : read_error::kind::unavailable, stream, 0, -1,
          e.message + " (code " + std::to_string(e.code) + ")"};
}

result<std::vector<record_ptr>, read_error> sqlite_log_reader::stream(const stream_id& stream,
                                                                      std::uint64_t from_seq,
                                                                      std::size_t limit,
                                                                      std::int64_t before) {
  std::vector<record_ptr> out;
  if (limit == 0)
    return out;
  auto wanted = std::max<std::uint64_t>(from_seq, 1);
  auto first = wanted > 1 ? wanted - 1 : wanted; // The predecessor proves the first one's place.
  stream_checker checker{stream, first};
  sqlite::reset_at_end reset{stream_};
  stream_.bind(1, stream.value)
      .bind(2, static_cast<std::int64_t>(first))
      .bind(3, sql_limit(limit) + (first < wanted ? 1 : 0))
      .bind(4, before);
  sqlite::step_result step;
  while ((step = stream_.step()) == sqlite::step_result::row) {
    bool is_predecessor = first < wanted && stream_.integer(2) == static_cast<std::int64_t>(first);
    auto r = std::make_shared<record>();
    take_row(stream_, !is_predecessor, *r);
    if (is_predecessor) {
      checker.follow(*r);
      continue;
    }
    if (auto bad = checker.check(*r))
      return *bad;
    out.push_back(std::move(r));
  }
  if (step == sqlite::step_result::failed)
    return failure(stream);
  return out;
}

result<std::vector<record_ptr>, read_error> sqlite_log_reader::partition(std::int64_t from,
                                                                         std::size_t limit,
                                                                         bool check_hashes,
                                                                         std::int64_t before) {
  std::vector<record_ptr> out;
  std::size_t bytes = 0;
  sqlite::reset_at_end reset{partition_};
  partition_.bind(1, from).bind(2, sql_limit(limit)).bind(3, before);
  auto step = sqlite::step_result::done;
  while (bytes < read_bytes_limit && (step = partition_.step()) == sqlite::step_result::row) {
    auto r = std::make_shared<record>();
    take_row(partition_, check_hashes, *r);
    out.push_back(std::move(r));
    bytes += out.back()->event.data.size();
  }
  if (step == sqlite::step_result::failed)
    return failure({});
  return out;
}

result<std::size_t, read_error> sqlite_log_reader::rows(std::int64_t from,
                                                        std::vector<record>& into) {
  std::size_t count = 0;
  sqlite::reset_at_end reset{partition_};
  partition_.bind(1, from)
      .bind(2, sql_limit(into.size()))
      .bind(3, std::numeric_limits<std::int64_t>::max());
  sqlite::step_result step;
  while ((step = partition_.step()) == sqlite::step_result::row)
    take_row(partition_, true, into[count++]);
  if (step == sqlite::step_result::failed)
    return failure({});
  return count;
}

result<std::optional<stream_head>, read_error> sqlite_log_reader::head(const stream_id& stream,
                                                                       std::int64_t before) {
  sqlite::reset_at_end reset{head_};
  head_.bind(1, stream.value).bind(2, before);
  auto step = head_.step();
  if (step == sqlite::step_result::failed)
    return failure(stream);
  if (step == sqlite::step_result::done)
    return std::optional<stream_head>{};
  auto hash = digest_from_bytes(head_.blob(1));
  auto seq = static_cast<std::uint64_t>(head_.integer(0));
  if (!hash)
    return corrupt(stream, seq, head_.integer(4), "column eventhash is no hash of 32 bytes");
  return std::optional{
      stream_head{seq, *hash, std::string{head_.text(2)}, from_ms(head_.integer(3))}};
}

result<std::vector<unfinished_stream>, read_error>
sqlite_log_reader::unfinished(std::optional<std::uint32_t> partition, const stream_id& after,
                              std::size_t limit) {
  std::vector<unfinished_stream> out;
  sqlite::reset_at_end reset{unfinished_};
  unfinished_.bind(1, after.value).bind(2, sql_limit(limit));
  if (partition)
    unfinished_.bind(3, std::int64_t{*partition});
  else
    unfinished_.bind_null(3);
  sqlite::step_result step;
  while ((step = unfinished_.step()) == sqlite::step_result::row) {
    auto& u = out.emplace_back();
    u.stream.value = unfinished_.text(0);
    if (!unfinished_.is_null(1))
      u.due_ms = unfinished_.integer(1);
  }
  if (step == sqlite::step_result::failed)
    return failure({});
  return out;
}

result<std::int64_t, read_error> sqlite_log_reader::end(std::int64_t from, std::int64_t before) {
  sqlite::reset_at_end reset{end_};
  end_.bind(1, from).bind(2, before);
  const auto step = end_.step();
  if (step == sqlite::step_result::failed)
    return failure({});
  return step == sqlite::step_result::row ? end_.integer(0) : 0;
}

result<partition_head, read_error> sqlite_log_reader::partition_state(const partition_head& empty) {
  auto state = empty;
  const auto own_stream = partition_stream(empty.topic, empty.number);
  auto first = stream(own_stream, 1, 1, std::numeric_limits<std::int64_t>::max());
  if (!first)
    return first.error();
  if (first->empty())
    return state;
  stream_head head;
  advance(state, head, *first->front());
  sqlite::reset_at_end reset{last_claim_};
  last_claim_.bind(1, own_stream.value);
  auto step = last_claim_.step();
  if (step == sqlite::step_result::failed)
    return failure(own_stream);
  if (step == sqlite::step_result::done)
    return state;
  auto claim = sqlite::read_event(last_claim_, true);
  // A sound claim is the next one after the epoch before it.
  head.seq = claim->event.seq - 1;
  head.hash = claim->event.prevhash;
  state.epoch = claim->epoch - 1;
  auto v = judge_own(state, &head, *claim);
  if (!claim->damage.empty() || v != verdict::accepted)
    return corrupt(own_stream, claim->event.seq, claim->offset,
                   claim->damage.empty() ? std::string{to_string(v)} : claim->damage);
  advance(state, head, *claim);
  return sealed_state(std::move(state), own_stream);
}

/// A seal, if there is one, is the last event: also where a program that knows no seals has claimed
/// the partition behind it.
result<partition_head, read_error> sqlite_log_reader::sealed_state(partition_head state,
                                                                   const stream_id& own_stream) {
  sqlite::reset_at_end reset{from_seal_};
  from_seal_.bind(1, own_stream.value);
  auto step = from_seal_.step();
  if (step == sqlite::step_result::failed)
    return failure(own_stream);
  if (step == sqlite::step_result::done)
    return state;
  const auto seal = sqlite::read_event(from_seal_, true);
  if (!seal->damage.empty())
    return corrupt(own_stream, seal->event.seq, seal->offset, seal->damage);
  step = from_seal_.step();
  if (step == sqlite::step_result::failed)
    return failure(own_stream);
  if (step == sqlite::step_result::row) {
    const auto behind = sqlite::read_event(from_seal_, false);
    return corrupt(own_stream, behind->event.seq, behind->offset,
                   "it stands behind the seal at seq " + std::to_string(seal->event.seq));
  }
  if (seal->epoch != state.epoch)
    return corrupt(own_stream, seal->event.seq, seal->offset, "the seal is not of the last claim");
  state.sealed = true;
  return state;
}

} // namespace runledger
