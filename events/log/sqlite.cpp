#include "events/log/sqlite.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace runledger::sqlite {

namespace {

/// SQLite counts its memory under a global mutex unless told otherwise; nobody reads the count.
void configure_library_once() {
  [[maybe_unused]] static const int once = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/// Creates the file before SQLite does, which would use the umask's mode.
result<void, error> create_private_file(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return error{SQLITE_CANTOPEN, errno, path + ": " + std::strerror(errno)};
  ::close(fd);
  return {};
}

/// `path` as a URI, for a file that nobody changes.
std::string immutable_uri(const std::string& path) {
  std::string out = "file:";
  for (char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      constexpr char hex[] = "0123456789abcdef";
      out += '%';
      out += hex[static_cast<unsigned char>(c) >> 4];
      out += hex[static_cast<unsigned char>(c) & 15];
    } else {
      out += c;
    }
  }
  return out + "?immutable=1";
}

int open_flags(open_mode mode) {
  constexpr int common = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  switch (mode) {
    case open_mode::read_only:
      return common | SQLITE_OPEN_READONLY;
    case open_mode::immutable:
      return common | SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
    case open_mode::read_write:
    case open_mode::create:
      break;
  }
  return common | SQLITE_OPEN_READWRITE;
}

/// SQLite takes a null pointer for NULL; an empty text is no NULL.
const char* never_null(std::string_view text) {
  return text.data() != nullptr ? text.data() : "";
}

} // namespace

void statement::finalizer::operator()(sqlite3_stmt* s) const {
  sqlite3_finalize(s);
}

statement& statement::bind(int place, std::int64_t number) {
  sqlite3_bind_int64(raw_.get(), place, number);
  return *this;
}

statement& statement::bind(int place, std::string_view text) {
  sqlite3_bind_text64(raw_.get(), place, never_null(text), text.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

statement& statement::bind_blob(int place, std::string_view bytes) {
  sqlite3_bind_blob64(raw_.get(), place, never_null(bytes), bytes.size(), SQLITE_STATIC);
  return *this;
}

statement& statement::bind_null(int place) {
  sqlite3_bind_null(raw_.get(), place);
  return *this;
}

step_result statement::step() {
  switch (sqlite3_step(raw_.get())) {
    case SQLITE_ROW:
      return step_result::row;
    case SQLITE_DONE:
      return step_result::done;
    default:
      return step_result::failed;
  }
}

void statement::reset() {
  sqlite3_reset(raw_.get());
}

int statement::type(int column) const {
  return sqlite3_column_type(raw_.get(), column);
}

bool statement::is_null(int column) const {
  return type(column) == SQLITE_NULL;
}

std::int64_t statement::integer(int column) const {
  return sqlite3_column_int64(raw_.get(), column);
}

double statement::real(int column) const {
  return sqlite3_column_double(raw_.get(), column);
}

std::string_view statement::text(int column) const {
  auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(raw_.get(), column));
  if (bytes == nullptr)
    return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(raw_.get(), column))};
}

std::string_view statement::blob(int column) const {
  auto* bytes = static_cast<const char*>(sqlite3_column_blob(raw_.get(), column));
  if (bytes == nullptr)
    return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(raw_.get(), column))};
}

void connection::closer::operator()(sqlite3* db) const {
  sqlite3_close_v2(db);
}

result<connection, error> connection::open(const std::string& path, open_mode mode,
                                           int busy_timeout_ms) {
  configure_library_once();
  if (mode == open_mode::create)
    if (auto made = create_private_file(path); !made)
      return made.error();
  auto name = mode == open_mode::immutable ? immutable_uri(path) : path;
  sqlite3* raw = nullptr;
  int code = sqlite3_open_v2(name.c_str(), &raw, open_flags(mode), nullptr);
  connection out;
  out.raw_.reset(raw);
  if (raw == nullptr)
    return error{SQLITE_NOMEM, 0, path + ": out of memory"};
  if (code != SQLITE_OK) {
    auto e = out.last_error();
    e.message = path + ": " + e.message;
    return e;
  }
  sqlite3_busy_timeout(raw, busy_timeout_ms);
  return out;
}

result<void, error> connection::exec(const char* sql) {
  if (sqlite3_exec(raw_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return last_error();
  return {};
}

result<statement, error> connection::prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v3(raw_.get(), sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &raw, nullptr)
      != SQLITE_OK)
    return last_error();
  return statement{raw};
}

result<std::optional<std::int64_t>, error> connection::query_integer(std::string_view sql) {
  auto query = prepare(sql);
  if (!query)
    return query.error();
  auto step = query->step();
  if (step == step_result::failed)
    return last_error();
  if (step == step_result::done)
    return std::optional<std::int64_t>{};
  return std::optional{query->integer(0)};
}

result<std::optional<std::string>, error> connection::query_text(std::string_view sql) {
  auto query = prepare(sql);
  if (!query)
    return query.error();
  auto step = query->step();
  if (step == step_result::failed)
    return last_error();
  if (step == step_result::done)
    return std::optional<std::string>{};
  return std::optional{std::string{query->text(0)}};
}

error connection::last_error() const {
  return {sqlite3_extended_errcode(raw_.get()), sqlite3_system_errno(raw_.get()),
          sqlite3_errmsg(raw_.get())};
}

bool connection::in_transaction() const {
  return sqlite3_get_autocommit(raw_.get()) == 0;
}

} // namespace runledger::sqlite
