#pragma once

#include "events/codec.hpp"
#include "projections/run_columns.hpp"
#include "projections/sql.hpp"
#include "projections/view_reader.hpp"

#include <unordered_map>

namespace runledger::views {

/// What queries share: the connection, its statements, and the ledger behind the rows.
struct view_reader::internals {
  const std::string path;
  replaced_file* const replaced;
  sqlite::connection db;
  std::uint64_t seen = 0; ///< Replacements, when `db` was opened.
  const event_log& log;
  const blob_store* blobs;
  std::unordered_map<const char*, query> statements; ///< By the address of their literal.
  std::unordered_map<std::string, query> composed;

  internals(std::string file, const event_log& l, const blob_store* b, replaced_file* r)
      : path(std::move(file)), replaced(r), log(l), blobs(b) {}

  /// The statement of a string literal, prepared at its first use. Throws sqlite::error.
  query& use(const char* sql) {
    auto found = statements.find(sql);
    if (found == statements.end())
      found = statements.emplace(sql, query{db, sql}).first;
    return found->second;
  }

  /// The statement of a text that was put together. Throws sqlite::error.
  query& use(const std::string& sql) {
    auto found = composed.find(sql);
    if (found == composed.end())
      found = composed.emplace(sql, query{db, sql}).first;
    return found->second;
  }

  /// Before each question: the file as it is now. Throws sqlite::error.
  void follow() {
    if (replaced != nullptr && replaced->count.load(std::memory_order_acquire) != seen)
      open_file();
  }
  /// Throws sqlite::error; what was open stays then.
  void open_file();

  /// The record at a place. Throws read_error.
  record_ptr record_at(place p) const;
  /// A payload's JSON. Throws read_error.
  std::string content_of(const payload& p, const record& r) const;
  /// A blob's JSON for the timeline; nothing if it cannot be read.
  std::optional<std::string> blob(const blob_ref& ref) const;
  /// Fills in what the row does not copy. Throws read_error.
  void load_contents(stored_run& r) const;
  /// Throws the read_error of a parked entity; returns if it is not parked.
  void refuse_parked(std::string_view view, const std::string& entity);
};

/// Runs a question: what is thrown inside becomes its error. `A` is the answer's value.
template <class A, class Ask>
answer<A> ask(view_reader& reader, Ask&& question) {
  try {
    reader.inside().follow();
    return answer<A>{boost::system::in_place_value, question(reader.inside())};
  } catch (const sqlite::error& e) {
    return read_error{read_error::kind::unavailable, {}, 0, -1, e.message};
  } catch (const read_error& e) {
    return e;
  }
}

/// One read transaction until the end of the block: all statements see the same commit.
class snapshot {
public:
  explicit snapshot(view_reader::internals& in) : in_(in) { in_.use("BEGIN").with().run(); }
  ~snapshot() {
    try {
      in_.use("COMMIT").with().run();
    } catch (const sqlite::error&) {
      // It only read: there is nothing to lose, and the next BEGIN tells.
    }
  }
  snapshot(const snapshot&) = delete;
  snapshot& operator=(const snapshot&) = delete;

private:
  view_reader::internals& in_;
};

/// Newest first: everything comes before it.
inline constexpr list_cursor from_the_newest{INT64_MAX, INT64_MAX};

/// Cuts a list that was read with one row too many, and sets its cursor.
template <class T, class CursorOf>
void cut(page<T>& list, std::size_t limit, CursorOf&& cursor_of) {
  if (list.items.size() <= limit)
    return;
  list.items.resize(limit);
  list.next = to_text(cursor_of(list.items.back()));
}

} // namespace runledger::views
