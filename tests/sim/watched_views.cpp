#include "tests/sim/watched_views.hpp"

#include "events/log/boot.hpp"
#include "projections/queries/run_by_id.hpp"
#include "projections/queries/session_by_id.hpp"
#include "projections/render.hpp"
#include "tests/support/temp_folder.hpp"

#include <sqlite3.h>

#include <filesystem>
#include <stdexcept>

namespace runledger::sim {

namespace {

constexpr std::size_t batch_max = 40;
constexpr std::int64_t fold_percent = 25, failing_percent = 4, rebuild_permille = 2;

std::string json_of(const views::run_row& row) {
  std::string out;
  views::append_run_json(out, row);
  return out;
}

/// Puts views of nothing at `path`: copied, because making the tables is what costs most.
void put_empty_views(const std::string& path) {
  static const test::temp_folder home;
  static const auto empty = [] {
    auto made = home.path() + "/empty.db";
    remove_database(made);
    if (auto opened = views::view_store::open(made, views::writing::live); !opened)
      throw std::runtime_error(opened.error().message);
    return made;
  }();
  remove_database(path);
  std::filesystem::copy_file(empty, path);
}

} // namespace

watched_views::watched_views(const memory_log& disk, const blob_store& blobs, oracle& judge,
                             std::string folder, std::uint64_t seed)
    : disk_(disk),
      blobs_(blobs),
      judge_(judge),
      path_(folder + "/views.db"),
      rebuilt_path_(folder + "/rebuilt.db"),
      dice_(seed) {
  put_empty_views(path_);
  open();
}

watched_views::~watched_views() {
  reader_.reset();
  store_.reset();
  remove_database(path_);
  remove_database(rebuilt_path_);
}

void watched_views::complain(const std::string& what) {
  judge_.complain("the views " + what);
}

void watched_views::open() {
  auto opened = views::view_store::open(path_, views::writing::live);
  if (!opened)
    return complain("cannot be opened: " + opened.error().message);
  store_ = std::move(*opened);
  auto reader = views::view_reader::open(path_, disk_, &blobs_);
  if (!reader)
    return complain("cannot be read: " + reader.error().detail);
  reader_ = std::move(*reader);
}

void watched_views::reopen() {
  reader_.reset();
  store_.reset();
  open();
}

void watched_views::step() {
  if (!dice_.percent(fold_percent))
    return;
  const auto count = disk_.partition_count();
  const auto partition = count > 1 ? static_cast<std::uint32_t>(dice_.below(count)) : 0;
  fold(partition, 1 + dice_.below(batch_max));
  if (dice_.between(1, 1000) <= rebuild_permille)
    finish();
}

bool watched_views::caught_up() const {
  for (std::uint32_t p = 0; p < disk_.partition_count(); ++p)
    if (!disk_.read_partition(p, store_->next_offset(p), 1)->empty())
      return false;
  return true;
}

bool watched_views::fold(std::uint32_t partition, std::size_t batch) {
  auto records = disk_.read_partition(partition, store_->next_offset(partition), batch);
  if (!records || records->empty())
    return false;
  if (dice_.percent(failing_percent)) {
    sqlite3_commit_hook(
        store_->database().raw(), [](void*) { return 1; }, nullptr);
    if (store_->apply(*records))
      complain("say that a commit took place that did not");
    sqlite3_commit_hook(store_->database().raw(), nullptr, nullptr);
    if (dice_.coin())
      reopen();
    return true;
  }
  if (!apply(*records))
    return false;
  if (records->size() < batch && caught_up())
    compare_rows();
  return true;
}

bool watched_views::apply(const std::vector<record_ptr>& batch) {
  if (auto done = store_->apply(batch); !done) {
    complain("cannot be written: " + done.error().message);
    return false;
  }
  for (const auto& r : batch) {
    if (kind_of(r->event.stream) == stream_kind::run)
      touched_runs_.insert(run_id{r->event.stream.value});
    else if (kind_of(r->event.stream) == stream_kind::session)
      touched_sessions_.insert(session_id{r->event.stream.value});
  }
  return true;
}

void watched_views::finish() {
  for (std::uint32_t p = 0; p < disk_.partition_count(); ++p)
    while (fold(p, SIZE_MAX)) {
    }
  compare_rows();
  if (judge_.problem().empty())
    compare_with_rebuilt();
}

// -- comparing ---------------------------------------------------------------------------------

void watched_views::compare_rows() {
  judge_.catch_up();
  if (!judge_.problem().empty())
    return;
  for (const auto& id : std::exchange(touched_sessions_, {}))
    compare_session(id);
  for (const auto& id : std::exchange(touched_runs_, {}))
    compare_run(id);
}

void watched_views::compare_run(const run_id& id) {
  const auto& turn = judge_.turn_of(id);
  const auto& workspace = judge_.session_of(turn.session)->workspace;
  const auto* state = judge_.run_of(id);
  auto row = views::run_by_id(*reader_, workspace, id.value);
  if (!row || !*row)
    return complain("do not have the run " + id.value + (row ? "" : ": " + row.error().detail));
  auto seen = json_of(**row);
  auto fact = turn.fact;
  for (auto* input : {&fact.prompt, &fact.initial_state})
    if (input->blob)
      if (auto content = blobs_.get(input->blob->id))
        *input = payload{std::move(*content), {}};
  auto expected = json_of(views::run_row_from(id, state == nullptr ? run::state{} : *state,
                                              turn.session, workspace, fact, turn.at, {}));
  if (seen != expected)
    complain("show the run as " + seen + "\nthe ledger says " + expected);
}

void watched_views::compare_session(const session_id& id) {
  const auto& state = *judge_.session_of(id);
  auto row = views::session_by_id(*reader_, state.workspace, id.value);
  if (!row || !*row)
    return complain("do not have the session " + id.value + (row ? "" : ": " + row.error().detail));
  const auto& seen = (*row)->session;
  bool same = seen.phase == state.at && seen.agent == state.agent
              && seen.agent_version == state.agent_version
              && seen.last_activity_at == state.last_activity_at
              && seen.terminated_at == state.terminated_at
              && (*row)->runs.size() == state.turns.size();
  for (std::size_t i = 0; same && i < state.turns.size(); ++i)
    same = (*row)->runs[i].id == state.turns[i].run;
  if (!same)
    complain("show the session " + id.value + " otherwise than the ledger");
}

void watched_views::compare_with_rebuilt() {
  put_empty_views(rebuilt_path_);
  auto fresh = views::view_store::open(rebuilt_path_, views::writing::live);
  bool built = fresh.has_value();
  for (std::uint32_t p = 0; built && p < disk_.partition_count(); ++p) {
    auto all = disk_.read_partition(p, 0, SIZE_MAX);
    built = all && (*fresh)->apply(*all);
  }
  if (!built)
    return complain("cannot be rebuilt");
  auto grown = views::dump(path_), rebuilt = views::dump(rebuilt_path_);
  if (!grown || !rebuilt)
    return complain("cannot be dumped");
  for (const auto& [table, rows] : *rebuilt)
    if (grown->at(table) != rows)
      return complain("differ from rebuilt ones in the table " + table);
  if (!grown->at("parked").empty())
    complain("have parked " + grown->at("parked"));
}

} // namespace runledger::sim
