#include "projections/compare.hpp"

#include "events/log/boot.hpp"
#include "events/log/sqlite_source.hpp"
#include "projections/schema.hpp"
#include "projections/sql.hpp"
#include "projections/view_names.hpp"

#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace runledger::views {

namespace {

constexpr const char* no_table = "(no such table)";
constexpr const char* no_row = "(no such row)";

/// A value as SQL writes it.
std::string quoted(const sqlite::statement& row, int column) {
  switch (row.type(column)) {
    case SQLITE_INTEGER:
      return std::to_string(row.integer(column));
    case SQLITE_NULL:
      return "NULL";
    case SQLITE_BLOB: {
      constexpr char hex[] = "0123456789abcdef";
      std::string out = "X'";
      for (const unsigned char c : row.blob(column)) {
        out += hex[c >> 4];
        out += hex[c & 15];
      }
      return out + "'";
    }
    default:
      break;
  }
  std::string out = "'";
  for (const char c : row.text(column))
    out.append(c == '\'' ? 2 : 1, c);
  return out + "'";
}

/// As SQLite orders keys: NULL, numbers, texts, blobs; these by their bytes.
int order(const sqlite::statement& a, const sqlite::statement& b, int column) {
  const auto rank = [](int type) {
    return type == SQLITE_NULL                              ? 0
           : type == SQLITE_INTEGER || type == SQLITE_FLOAT ? 1
           : type == SQLITE_TEXT                            ? 2
                                                            : 3;
  };
  const int type = a.type(column);
  if (const int by_rank = rank(type) - rank(b.type(column)); by_rank != 0)
    return by_rank;
  if (type == SQLITE_NULL)
    return 0;
  if (type == SQLITE_INTEGER || type == SQLITE_FLOAT) {
    const auto left = a.integer(column), right = b.integer(column);
    return left < right ? -1 : left > right ? 1 : 0;
  }
  const auto left = type == SQLITE_TEXT ? a.text(column) : a.blob(column);
  return left.compare(type == SQLITE_TEXT ? b.text(column) : b.blob(column));
}

struct table_shape {
  std::vector<std::string> columns; ///< Those of the key first.
  std::size_t keys = 0;
  bool operator==(const table_shape&) const = default;
};

table_shape shape_of(sqlite::connection& db, const std::string& table) {
  table_shape out;
  query named{db, "SELECT name, pk > 0 FROM pragma_table_info(?) "
                  "ORDER BY CASE WHEN pk > 0 THEN pk ELSE 1000 + cid END"};
  named.with(table);
  while (named.row()) {
    auto row = named.values();
    out.columns.push_back(row.text());
    out.keys += row.truth() ? 1 : 0;
  }
  return out;
}

/// `condition`: of WHERE; empty: all rows.
std::string select_in_order(const std::string& table, const table_shape& shape,
                            const std::string& condition) {
  std::string columns, keys;
  for (std::size_t i = 0; i < shape.columns.size(); ++i) {
    columns += (i > 0 ? "," : "") + shape.columns[i];
    if (i < shape.keys)
      keys += (i > 0 ? "," : "") + shape.columns[i];
  }
  return "SELECT " + columns + " FROM " + table + (condition.empty() ? "" : " WHERE " + condition)
         + " ORDER BY " + keys;
}

/// One table of both files, row by row.
class table_walk {
public:
  table_walk(sqlite::connection& live, sqlite::connection& rebuilt, std::string table,
             const std::string& condition)
      : table_(std::move(table)), shape_(shape_of(live, table_)) {
    const auto other = shape_of(rebuilt, table_);
    if (shape_ == other && !shape_.columns.empty()) {
      const auto select = select_in_order(table_, shape_, condition);
      live_ = query{live, select};
      rebuilt_ = query{rebuilt, select};
    } else {
      found_ = difference{table_, {}, {}, told(shape_), told(other)};
    }
  }

  std::optional<difference> run(std::uint64_t& rows) {
    if (found_)
      return found_;
    bool here = live_.row(), there = rebuilt_.row();
    for (; here || there; here = live_.row(), there = rebuilt_.row()) {
      const int keys = !here ? 1 : !there ? -1 : order_of_keys();
      if (keys != 0)
        return difference{table_,
                          key_of(keys < 0 ? live_ : rebuilt_),
                          {},
                          keys < 0 ? row_of(live_) : no_row,
                          keys < 0 ? no_row : row_of(rebuilt_)};
      if (auto unequal = first_unequal())
        return unequal;
      ++rows;
    }
    return std::nullopt;
  }

private:
  static std::string told(const table_shape& shape) {
    std::string out;
    for (const auto& name : shape.columns)
      out += (out.empty() ? "" : ",") + name;
    return out.empty() ? no_table : out;
  }

  int order_of_keys() {
    for (std::size_t i = 0; i < shape_.keys; ++i)
      if (const int by = order(live_.raw(), rebuilt_.raw(), static_cast<int>(i)); by != 0)
        return by;
    return 0;
  }

  std::optional<difference> first_unequal() {
    for (std::size_t i = shape_.keys; i < shape_.columns.size(); ++i) {
      const auto at = static_cast<int>(i);
      if (live_.raw().type(at) != rebuilt_.raw().type(at)
          || order(live_.raw(), rebuilt_.raw(), at) != 0)
        return difference{table_, key_of(live_), shape_.columns[i], quoted(live_.raw(), at),
                          quoted(rebuilt_.raw(), at)};
    }
    return std::nullopt;
  }

  std::string values(query& of, std::size_t from, std::size_t to) const {
    std::string out;
    for (auto i = from; i < to; ++i)
      out +=
          (i > from ? "," : "") + shape_.columns[i] + '=' + quoted(of.raw(), static_cast<int>(i));
    return out;
  }
  std::string key_of(query& of) const { return values(of, 0, shape_.keys); }
  std::string row_of(query& of) const { return values(of, shape_.keys, shape_.columns.size()); }

  const std::string table_;
  const table_shape shape_;
  query live_, rebuilt_;
  std::optional<difference> found_;
};

/// The views of another version cannot be the same; nothing is said by that.
void expect_version(sqlite::connection& live, const std::string& path) {
  const auto expect = [&](std::string_view name, int ours, const char* what) {
    query meta{live, "SELECT value FROM meta WHERE name = ?"};
    const auto theirs = meta.with(name).row() ? meta.values().text() : std::string{};
    if (theirs != std::to_string(ours))
      throw sqlite::error{0, 0,
                          path + " has " + what + " " + (theirs.empty() ? "(none)" : theirs)
                              + ", this version of runledger has " + std::to_string(ours)
                              + ": rebuild it"};
  };
  expect("schema_version", schema_version, "schema");
  expect("fold_version", fold_version, "fold");
}

/// Where the live views are, cut to what the ledger has.
offsets positions_of(sqlite::connection& live, const offsets& ends) {
  offsets out(ends.size());
  query all{live, "SELECT partition, next FROM positions"};
  while (all.row()) {
    auto row = all.values();
    const auto partition = static_cast<std::size_t>(row.integer());
    const auto next = row.integer();
    if (partition < out.size())
      out[partition] = std::min(next, ends[partition]);
  }
  return out;
}

std::vector<std::string> tables_of(const std::string& view) {
  std::vector<std::string> out = {"positions", "parked"};
  if (const auto* one = find_view(view)) {
    out = {one->tables.begin(), one->tables.end()};
    out.emplace_back("parked");
    return out;
  }
  for (const auto& each : all_views())
    out.insert(out.end(), each.tables.begin(), each.tables.end());
  return out;
}

/// Whether each table and index is declared as this version does it.
std::optional<difference> schema_difference(sqlite::connection& live) {
  // In memory; a mode that makes the file would leave one of this name.
  auto opened = sqlite::connection::open(":memory:", sqlite::open_mode::read_write);
  if (!opened)
    throw opened.error();
  run_sql(*opened, schema_tables);
  run_sql(*opened, schema_list_indexes);
  const auto declared = [](sqlite::connection& db) {
    std::map<std::string, std::string> out;
    query all{db, "SELECT name, sql FROM sqlite_schema WHERE sql NOT NULL"};
    while (all.row()) {
      auto row = all.values();
      auto name = row.text();
      out[std::move(name)] = row.text();
    }
    return out;
  };
  const auto ours = declared(*opened), theirs = declared(live);
  const auto told = [](const auto& in, const std::string& name) {
    const auto found = in.find(name);
    return found == in.end() ? std::string{"(not declared)"} : found->second;
  };
  auto names = ours;
  names.insert(theirs.begin(), theirs.end());
  for (const auto& [name, sql] : names)
    if (const auto a = told(theirs, name), b = told(ours, name); a != b)
      return difference{"sqlite_schema", "name='" + name + "'", "sql", a, b};
  return std::nullopt;
}

/// Whether indexes and pages are sound; reads of whole tables do not see that.
std::optional<difference> damage_of(sqlite::connection& live) {
  query look{live, "PRAGMA integrity_check(1)"};
  auto said = look.with().row() ? look.values().text() : std::string{"(nothing)"};
  if (said == "ok")
    return std::nullopt;
  return difference{"(integrity_check)", {}, {}, std::move(said), "ok"};
}

/// One read transaction.
result<check_report, std::string> check_in(sqlite::connection& live, const std::string& path,
                                           const event_log& log, const check_options& options) {
  run_sql(live, "BEGIN");
  expect_version(live, path);
  const auto ends = ends_of(log);
  const auto position = positions_of(live, ends);
  auto store = view_store::open(options.scratch, writing::scratch);
  // Nameless from here on: nothing is left of it, however this ends.
  remove_database(options.scratch);
  if (!store)
    return "the views cannot be rebuilt in " + options.scratch + ": " + store.error().message;
  auto folded = fold_to(**store, log, position, options.watch);
  if (!folded)
    return folded.error();
  auto found = compare(live, (*store)->database(), tables_of(options.view), options.view);
  if (!found)
    return path + " cannot be compared: " + found.error().message;
  if (!found->first)
    found->first = schema_difference(live);
  if (!found->first)
    found->first = damage_of(live);
  check_report out{*folded, 0, 0, std::move(*found)};
  for (std::size_t p = 0; p < ends.size(); ++p) {
    out.position += position[p];
    out.lag += ends[p] - position[p];
  }
  return out;
}

} // namespace

std::string to_text(const difference& d) {
  auto out = "table " + d.table;
  if (!d.key.empty())
    out += ", row " + d.key;
  if (!d.column.empty())
    out += ", column " + d.column;
  return out + ": live " + d.live + ", rebuilt " + d.rebuilt;
}

result<comparison, sqlite::error> compare(sqlite::connection& live, sqlite::connection& rebuilt,
                                          const std::vector<std::string>& tables,
                                          std::string_view view) {
  comparison out;
  try {
    for (const auto& table : tables) {
      const auto condition = table == "parked" && find_view(view) != nullptr
                                 ? "view = '" + std::string{view} + "'"
                                 : std::string{};
      out.first = table_walk{live, rebuilt, table, condition}.run(out.rows);
      if (out.first)
        break;
    }
  } catch (const sqlite::error& e) {
    return e;
  }
  return out;
}

result<check_report, std::string> check(const std::string& path, const event_log& log,
                                        const check_options& options) {
  constexpr int busy_timeout_ms = 2000;
  if (::access(path.c_str(), F_OK) != 0)
    return "there are no views to compare: " + path + " is not there";
  auto source = sqlite_source::look_at(path);
  if (!source)
    return source.error();
  auto live = (*source)->connect(busy_timeout_ms);
  if (!live)
    return path + ": " + live.error().message;
  try {
    auto report = check_in(*live, path, log, options);
    if (report && !(*source)->still_good())
      return path + " was changed while it was compared: stop the server first";
    return report;
  } catch (const sqlite::error& e) {
    return path + " cannot be compared: " + e.message;
  }
}

} // namespace runledger::views
