#include "projections/view_reader.hpp"

#include "projections/reader_internals.hpp"

#include <charconv>

namespace runledger::views {

view_reader::view_reader(std::unique_ptr<internals> i) : internals_(std::move(i)) {}
view_reader::~view_reader() = default;

namespace {

result<sqlite::connection, sqlite::error> open_for_questions(const std::string& path) {
  // Read and write, although it only reads: a file whose write-ahead log nobody has open cannot be
  // opened otherwise.
  auto db = sqlite::connection::open(path, sqlite::open_mode::read_write);
  if (!db)
    return db;
  if (auto done = db->exec("PRAGMA query_only=ON; PRAGMA cache_size=-8192; PRAGMA mmap_size=0;");
      !done)
    return done.error();
  // Its side files are opened with the first look.
  if (auto looked = db->query_integer("SELECT count(*) FROM sqlite_schema"); !looked)
    return looked.error();
  return db;
}

} // namespace

answer<std::unique_ptr<view_reader>> view_reader::open(const std::string& path,
                                                       const event_log& log,
                                                       const blob_store* blobs,
                                                       replaced_file* replaced) {
  auto in = std::make_unique<internals>(path, log, blobs, replaced);
  try {
    in->open_file();
  } catch (const sqlite::error& e) {
    return read_error{read_error::kind::unavailable, {}, 0, -1, e.message};
  }
  return std::unique_ptr<view_reader>{new view_reader{std::move(in)}};
}

void view_reader::internals::open_file() {
  std::shared_lock<std::shared_mutex> turn;
  if (replaced != nullptr)
    turn = std::shared_lock{replaced->turn};
  auto opened = open_for_questions(path);
  if (!opened)
    throw opened.error();
  statements.clear();
  composed.clear();
  db = std::move(*opened);
  seen = replaced != nullptr ? replaced->count.load(std::memory_order_acquire) : 0;
}

record_ptr view_reader::internals::record_at(place p) const {
  auto records = log.read_partition(partition_of(p), offset_of(p), 1);
  if (!records)
    throw records.error();
  if (records->empty() || records->front()->offset != offset_of(p))
    throw read_error{
        read_error::kind::corrupt, {}, 0, offset_of(p), "the ledger has no record at this offset"};
  return records->front();
}

std::string view_reader::internals::content_of(const payload& p, const record& r) const {
  if (!p.blob)
    return p.json;
  if (blobs != nullptr) {
    auto text = blobs->get(p.blob->id);
    if (text)
      return std::move(*text);
    if (text.error() == blob_errc::unavailable)
      throw read_error{read_error::kind::unavailable, {}, 0, -1, "the blob store cannot be read"};
  }
  throw read_error{read_error::kind::corrupt, r.event.stream, r.event.seq, r.offset,
                   "the blob " + to_hex(p.blob->id) + " is missing or damaged"};
}

std::optional<std::string> view_reader::internals::blob(const blob_ref& ref) const {
  if (blobs == nullptr)
    return std::nullopt;
  auto text = blobs->get(ref.id);
  if (!text)
    return std::nullopt;
  return std::move(*text);
}

namespace {

/// The fact of a record that the fold could read before; damage since then is told with its place.
template <class Fact, class Event>
Fact fact_of(const record& r) {
  auto corrupt = [&](std::string why) {
    return read_error{read_error::kind::corrupt, r.event.stream, r.event.seq, r.offset,
                      std::move(why)};
  };
  if (!r.damage.empty())
    throw corrupt(r.damage);
  auto fact = decode<Event>(r.event);
  if (!fact || !std::holds_alternative<Fact>(*fact))
    throw corrupt("the data of a " + r.event.type + " cannot be read");
  return std::get<Fact>(std::move(*fact));
}

} // namespace

void view_reader::internals::load_contents(stored_run& r) const {
  if ((r.long_content & (stored_run::long_prompt | stored_run::long_state)) != 0) {
    auto record = record_at(r.at);
    auto fact = fact_of<session::turn_accepted, session::event>(*record);
    r.prompt = content_of(fact.prompt, *record);
    r.initial_state = content_of(fact.initial_state, *record);
  }
  if ((r.long_content & stored_run::long_result) != 0) {
    auto record = record_at(r.result_at);
    auto fact = fact_of<run::succeeded, run::event>(*record);
    r.result = content_of(fact.result, *record);
  }
}

void view_reader::internals::refuse_parked(std::string_view view, const std::string& entity) {
  auto& q = use("SELECT stream, seq, at, reason FROM parked WHERE entity = ? AND view = ?");
  finished end{q};
  if (!q.with(entity, view).row())
    return;
  read_error out{read_error::kind::corrupt, {}, 0, -1, {}};
  place at = place::none;
  q.values().all(out.stream, out.seq, at, out.detail);
  out.offset = offset_of(at);
  throw out;
}

// Cursors: two numbers in hex, with a letter between them.

std::string to_text(const list_cursor& c) {
  char text[40];
  auto first = std::to_chars(text, text + 20, static_cast<std::uint64_t>(c.created_ms), 16);
  *first.ptr++ = 'p';
  auto second = std::to_chars(first.ptr, text + sizeof text, static_cast<std::uint64_t>(c.at), 16);
  return {text, second.ptr};
}

std::optional<list_cursor> parse_cursor(std::string_view text) {
  auto middle = text.find('p');
  if (middle == std::string_view::npos)
    return std::nullopt;
  auto number = [](std::string_view digits) -> std::optional<std::int64_t> {
    std::uint64_t out = 0;
    auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), out, 16);
    if (ec != std::errc{} || end != digits.data() + digits.size())
      return std::nullopt;
    return static_cast<std::int64_t>(out);
  };
  auto created = number(text.substr(0, middle)), at = number(text.substr(middle + 1));
  if (!created || !at)
    return std::nullopt;
  list_cursor out{*created, *at};
  return to_text(out) == text ? std::optional{out} : std::nullopt;
}

} // namespace runledger::views
