#pragma once

#include "events/result.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

struct sqlite3;
struct sqlite3_stmt;

/// Thin ownership over SQLite's C API, for the ledger and the views. A connection and its
/// statements belong to one thread at a time.
namespace runledger::sqlite {

/// What SQLite said.
struct error {
  int code = 0;         ///< SQLite's extended result code.
  int system_errno = 0; ///< Of the system call behind it; 0 if there was none.
  std::string message;  ///< One line.
  int primary() const { return code & 0xff; }
};

enum class step_result : std::uint8_t { row, done, failed };

/// A prepared statement. Texts and blobs are bound without a copy: they must live until reset().
class statement {
public:
  statement() = default;
  explicit statement(sqlite3_stmt* raw) : raw_(raw) {}

  statement& bind(int place, std::int64_t number);
  statement& bind(int place, std::string_view text);
  statement& bind_blob(int place, std::string_view bytes);
  statement& bind_null(int place);
  statement& bind(int place, const std::optional<std::int64_t>& number) {
    return number ? bind(place, *number) : bind_null(place);
  }

  step_result step();
  /// Makes the statement ready to be bound and stepped again; ends its read transaction.
  void reset();

  /// The type of a value in the current row: SQLITE_INTEGER and so on.
  int type(int column) const;
  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  /// Valid until the next step or reset.
  std::string_view text(int column) const;
  std::string_view blob(int column) const;

  sqlite3_stmt* raw() const { return raw_.get(); }
  explicit operator bool() const { return raw_ != nullptr; }

private:
  struct finalizer {
    void operator()(sqlite3_stmt* s) const;
  };
  std::unique_ptr<sqlite3_stmt, finalizer> raw_;
};

/// Resets a statement at the end of a block.
class reset_at_end {
public:
  explicit reset_at_end(statement& s) : statement_(s) {}
  ~reset_at_end() { statement_.reset(); }
  reset_at_end(const reset_at_end&) = delete;
  reset_at_end& operator=(const reset_at_end&) = delete;

private:
  statement& statement_;
};

enum class open_mode : std::uint8_t {
  read_only,
  immutable,  ///< Read-only, and nobody else writes: works in a folder that cannot be written.
  read_write, ///< The file must exist.
  create,     ///< Created with mode 0600 if it does not exist.
};

/// An open database file. Closes on destruction, after its statements.
class connection {
public:
  connection() = default;
  /// Waits at most `busy_timeout_ms` for another writer in each call.
  static result<connection, error> open(const std::string& path, open_mode mode,
                                        int busy_timeout_ms = 2000);

  /// Runs one or more statements whose rows nobody wants.
  result<void, error> exec(const char* sql);
  /// Prepares one statement that will be used many times.
  result<statement, error> prepare(std::string_view sql);
  /// The first column of the first row as an integer; nothing without a row.
  result<std::optional<std::int64_t>, error> query_integer(std::string_view sql);
  /// The first column of the first row as text; nothing without a row.
  result<std::optional<std::string>, error> query_text(std::string_view sql);

  error last_error() const;
  bool in_transaction() const;
  sqlite3* raw() const { return raw_.get(); }
  explicit operator bool() const { return raw_ != nullptr; }

private:
  struct closer {
    void operator()(sqlite3* db) const;
  };
  std::unique_ptr<sqlite3, closer> raw_;
};

} // namespace runledger::sqlite
