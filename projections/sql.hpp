#pragma once

#include "events/digest.hpp"
#include "events/ids.hpp"
#include "events/log/sqlite.hpp"
#include "events/money.hpp"
#include "events/time.hpp"
#include "projections/rows.hpp"

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Statements with typed values, for the views alone. A failure of SQLite is thrown as
/// sqlite::error and caught at the borders of this layer (view_store::apply, the queries).
namespace runledger::views {

/// Binds as NULL when empty.
struct nullable_text {
  std::string_view text;
};
/// Binds as a BLOB.
struct bytes {
  std::string_view content;
};

/// Reads the columns of the current row from left to right.
class columns {
public:
  explicit columns(const sqlite::statement& s) : statement_(s) {}

  std::int64_t integer() { return statement_.integer(next_++); }
  std::uint64_t natural() { return static_cast<std::uint64_t>(integer()); }
  bool truth() { return integer() != 0; }
  std::string text() { return std::string{statement_.text(next_++)}; }
  std::string blob() { return std::string{statement_.blob(next_++)}; }
  timestamp time() { return from_ms(integer()); }
  place at() { return place{integer()}; }
  std::optional<timestamp> maybe_time() {
    if (statement_.is_null(next_)) {
      ++next_;
      return std::nullopt;
    }
    return time();
  }
  template <std::integral T>
  void into(T& out) {
    out = static_cast<T>(integer());
  }
  void into(std::string& out) { out = statement_.text(next_++); }
  template <class Tag>
  void into(named_id<Tag>& out) {
    into(out.value);
  }
  void into(timestamp& out) { out = time(); }
  void into(std::optional<timestamp>& out) { out = maybe_time(); }
  void into(place& out) { out = at(); }
  void into(micro_usd& out) { out = micro_usd{integer()}; }
  template <class T>
    requires std::is_enum_v<T>
  void into(T& out) { out = static_cast<T>(integer()); }
  void into(digest& out) {
    auto raw = statement_.blob(next_++);
    out = digest_from_bytes(raw).value_or(digest{});
  }
  /// Reads as many columns as there are targets.
  template <class... T>
  void all(T&... targets) {
    (into(targets), ...);
  }

private:
  const sqlite::statement& statement_;
  int next_ = 0;
};

/// A prepared statement of one connection.
class query {
public:
  query() = default;
  query(sqlite::connection& db, std::string_view sql) : db_(&db) {
    auto made = db.prepare(sql);
    if (!made)
      throw made.error();
    statement_ = std::move(*made);
  }

  /// Starts over with these values. Texts are not copied: they must live until the last step.
  template <class... T>
  query& with(const T&... values) {
    statement_.reset();
    int at = 0;
    (bind(++at, values), ...);
    return *this;
  }
  /// Steps to a row; at the end the statement is reset.
  bool row() {
    auto step = statement_.step();
    if (step == sqlite::step_result::row)
      return true;
    sqlite::error failure;
    if (step == sqlite::step_result::failed)
      failure = db_->last_error();
    statement_.reset();
    if (step == sqlite::step_result::failed)
      throw failure;
    return false;
  }
  /// Runs a statement that gives no rows.
  void run() {
    while (row()) {
    }
  }
  columns values() const { return columns{statement_}; }
  sqlite::statement& raw() { return statement_; }
  void reset() { statement_.reset(); }

private:
  template <std::integral T>
  void bind(int at, T number) {
    statement_.bind(at, static_cast<std::int64_t>(number));
  }
  template <class T>
    requires std::is_enum_v<T>
  void bind(int at, T number) { statement_.bind(at, static_cast<std::int64_t>(number)); }
  void bind(int at, const std::string& text) { statement_.bind(at, std::string_view{text}); }
  void bind(int at, std::string_view text) { statement_.bind(at, text); }
  template <class Tag>
  void bind(int at, const named_id<Tag>& id) {
    statement_.bind(at, std::string_view{id.value});
  }
  void bind(int at, timestamp t) { statement_.bind(at, to_ms(t)); }
  void bind(int at, const std::optional<timestamp>& t) {
    if (t)
      statement_.bind(at, to_ms(*t));
    else
      statement_.bind_null(at);
  }
  void bind(int at, nullable_text t) {
    if (t.text.empty())
      statement_.bind_null(at);
    else
      statement_.bind(at, t.text);
  }
  void bind(int at, bytes b) { statement_.bind_blob(at, b.content); }
  void bind(int at, const digest& d) { statement_.bind_blob(at, d.view()); }

  sqlite::connection* db_ = nullptr;
  sqlite::statement statement_;
};

/// Resets a query at the end of a block, so that it holds no read transaction.
class finished {
public:
  explicit finished(query& q) : query_(q) {}
  ~finished() { query_.reset(); }
  finished(const finished&) = delete;
  finished& operator=(const finished&) = delete;

private:
  query& query_;
};

/// Runs statements without rows; throws sqlite::error.
inline void run_sql(sqlite::connection& db, const char* sql) {
  if (auto done = db.exec(sql); !done)
    throw done.error();
}

} // namespace runledger::views
