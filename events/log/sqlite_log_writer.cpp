#include "events/log/sqlite_log_writer.hpp"

#include <sqlite3.h>

namespace runledger {

namespace {

/// So many the writer moves itself: a millisecond or two.
constexpr std::int64_t quick_checkpoint_pages = 256;

int note_wal_pages(void* target, sqlite3*, const char*, int pages) {
  *static_cast<std::int64_t*>(target) = pages;
  return SQLITE_OK;
}

/// Where the error says that the commit may be on disk although SQLite does not count it.
bool outcome_is_open(const sqlite::error& e) {
  return e.code == SQLITE_IOERR_SHMSIZE || e.code == SQLITE_IOERR_SHMMAP;
}

append_result rejected(verdict why, const envelope& e) {
  return {append_outcome::rejected, why, e.id() + ": " + std::string{to_string(why)}};
}

} // namespace

sqlite_log::writer::~writer() {
  checkpointer_->stop();
  if (dead_ || checkpointer_->failed()) {
    sqlite3_db_config(rows_.db().raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    return;
  }
  sqlite3_wal_checkpoint_v2(rows_.db().raw(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr,
                            nullptr);
}

result<void, std::string> sqlite_log::writer::prepare(std::int64_t next_offset,
                                                      const partition_head& state) {
  next_offset_ = next_offset;
  state_ = state_before_ = state;
  if (auto prepared = rows_.prepare(); !prepared)
    return prepared.error().message;
  auto page_size = rows_.db().query_integer("PRAGMA page_size");
  if (page_size && *page_size)
    page_bytes_ = **page_size;
  sqlite3_wal_hook(rows_.db().raw(), note_wal_pages, &wal_pages_);
  return {};
}

std::uint64_t sqlite_log::writer::checkpoints() const {
  return checkpointer_->completed() + finished_;
}

std::vector<append_result> sqlite_log::writer::write(std::vector<append_request>& group) {
  std::vector<append_result> results;
  written_.clear();
  if (dead_) {
    results.assign(group.size(), {append_outcome::unavailable, verdict::accepted, *dead_});
    return results;
  }
  ask_file_ = false;
  auto end = attempt(group, results);
  if (end == attempt_result::surprised) {
    ask_file_ = true;
    end = attempt(group, results);
  }
  if (end != attempt_result::done)
    results.assign(group.size(), failure(ended_by_commit_));
  return results;
}

/// One transaction for the group. Whatever ends it early leaves neither rows nor changed heads.
sqlite_log::writer::attempt_result
sqlite_log::writer::attempt(std::vector<append_request>& group,
                            std::vector<append_result>& results) {
  results.assign(group.size(), {});
  ended_by_commit_ = false;
  state_before_ = state_;
  bool good = rows_.begin();
  for (std::size_t i = 0; good && i < group.size(); ++i)
    good = write_request(group[i], results[i]);
  good = good && rows_.write_unfinished(heads_.changes());
  if (good && written_.empty()) {
    rows_.rollback();
    heads_.commit();
    return attempt_result::done;
  }
  if (good) {
    ended_by_commit_ = true;
    good = rows_.commit();
  }
  if (good) {
    heads_.commit();
    return attempt_result::done;
  }
  last_error_ = rows_.last_error();
  undo();
  bool unique = last_error_.code == SQLITE_CONSTRAINT_UNIQUE;
  return unique && !ask_file_ ? attempt_result::surprised : attempt_result::failed;
}

void sqlite_log::writer::undo() {
  if (rows_.db().in_transaction()) {
    if (!rows_.rollback() && rows_.db().in_transaction())
      dead_ = "the ledger's transaction cannot be rolled back: " + rows_.last_error().message;
  }
  heads_.rollback();
  state_ = state_before_;
  next_offset_ -= static_cast<std::int64_t>(written_.size());
  for (auto& r : written_)
    r->offset = -1;
  written_.clear();
}

/// What the group's writers are told after last_error_.
append_result sqlite_log::writer::failure(bool at_commit) {
  auto text = last_error_.message + " (" + sqlite3_errstr(last_error_.code) + ", code "
              + std::to_string(last_error_.code) + ")";
  if (heals(last_error_) && !dead_) {
    bool open = at_commit && outcome_is_open(last_error_);
    return {open ? append_outcome::unknown : append_outcome::unavailable, verdict::accepted, text};
  }
  if (!dead_)
    dead_ = "the ledger cannot be written: " + text;
  return {at_commit ? append_outcome::unknown : append_outcome::unavailable, verdict::accepted,
          *dead_};
}

bool sqlite_log::writer::write_request(append_request& request, append_result& outcome) {
  outcome = {append_outcome::accepted, verdict::accepted, {}};
  if (request.events.empty())
    return true;
  const auto& first = request.events.front()->event;
  bool assumed_new = false;
  auto* stream = find_head(first.stream, first.seq, assumed_new);
  if (stream == nullptr)
    return false;
  auto first_written = written_.size();
  auto before = head_cache::save(stream->second);
  auto state = state_;
  read_failed_ = false;
  outcome = judge_request(request, *stream);
  if (outcome.outcome != append_outcome::accepted && assumed_new) {
    // A stream that was only taken for new refuses nobody: look, and judge by what is there.
    written_.resize(first_written);
    head_cache::restore(stream->second, before);
    state_ = state;
    if (!rows_.load_head(stream->second, stream->first)) {
      heads_.erase(stream);
      return false;
    }
    before = head_cache::save(stream->second);
    outcome = judge_request(request, *stream);
  }
  if (outcome.outcome != append_outcome::accepted) {
    written_.resize(first_written);
    head_cache::restore(stream->second, before);
    state_ = state;
  }
  if (written_.size() > first_written)
    heads_.touch(stream, before);
  else if (stream->second.head.seq == 0)
    heads_.erase(stream);
  return !read_failed_ && insert_from(first_written);
}

append_result sqlite_log::writer::judge_request(append_request& request, head_cache::node& stream) {
  auto& e = stream.second;
  for (auto& r : request.events) {
    r->partition = 0;
    if (r->event.stream != stream.first)
      return rejected(verdict::wrong_partition, r->event);
    if (options_.verify_appends && !hashes_match(r->event))
      return rejected(verdict::bad_hash, r->event);
    if (auto repeat = r->event.seq <= e.head.seq ? judge_repeat(*r) : std::nullopt) {
      if (*repeat != verdict::duplicate)
        return rejected(*repeat, r->event);
      continue;
    }
    auto v = judge_own(state_, e.head.seq > 0 ? &e.head : nullptr, *r);
    if (v == verdict::duplicate)
      continue; // Of an event of this very group, which has no offset yet.
    if (v != verdict::accepted)
      return rejected(v, r->event);
    advance(state_, e.head, *r);
    e.open = r->open;
    e.due_ms = r->due_ms;
    written_.push_back(r);
  }
  return {append_outcome::accepted, verdict::accepted, {}};
}

bool sqlite_log::writer::insert_from(std::size_t first) {
  for (auto i = first; i < written_.size(); ++i)
    written_[i]->offset = next_offset_++;
  for (auto i = first; i < written_.size(); ++i)
    if (!rows_.insert(*written_[i]))
      return false;
  return true;
}

/// A stream that the cache does not know and whose first event is appended is taken for new: the
/// unique index contradicts if it is not.
head_cache::node* sqlite_log::writer::find_head(const stream_id& stream, std::uint64_t first_seq,
                                                bool& assumed_new) {
  auto* known = heads_.find(stream);
  if (known != nullptr)
    return known;
  auto* added = heads_.insert(stream);
  assumed_new = first_seq == 1 && !ask_file_;
  if (assumed_new)
    return added;
  if (rows_.load_head(added->second, stream))
    return added;
  heads_.erase(added);
  return nullptr;
}

std::optional<verdict> sqlite_log::writer::judge_repeat(record& r) {
  std::optional<sqlite_log_rows::stored_event> there;
  if (!rows_.find(r.event.stream, r.event.seq, there))
    read_failed_ = true;
  if (!there || there->hash != r.event.eventhash)
    return std::nullopt;
  r.offset = there->place;
  return there->epoch == r.epoch ? verdict::duplicate : verdict::wrong_epoch;
}

/// Three steps: the checkpointer moves what there is; again, while the writer has added much
/// meanwhile; then the writer moves the rest, so that the next transaction can begin at the WAL's
/// start. A reader that still needs the WAL's end only puts that off.
void sqlite_log::writer::tend_wal() {
  if (dead_)
    return;
  if (wal_pages_ < asked_at_pages_) { // The WAL has begun anew.
    asked_at_pages_ = 0;
    draining_ = false;
  }
  auto fresh = wal_pages_ - asked_at_pages_;
  if (!draining_) {
    if (fresh * page_bytes_ < options_.checkpoint_bytes)
      return;
    draining_ = true;
  } else if (!checkpointer_->idle()) {
    return;
  } else if (fresh <= quick_checkpoint_pages || wal_bytes() >= options_.wal_limit_bytes) {
    draining_ = false;
    asked_at_pages_ = wal_pages_;
    return finish_checkpoint();
  }
  asked_at_pages_ = wal_pages_;
  checkpointer_->request();
}

void sqlite_log::writer::finish_checkpoint() {
  auto done = checkpoint_passively(rows_.db());
  if (done)
    ++finished_;
  else if (!heals(done.error()))
    dead_ = "the ledger's checkpoint failed: " + done.error().message;
}

} // namespace runledger
