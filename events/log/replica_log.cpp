#include "events/log/replica_log.hpp"

#include "events/log/sqlite.hpp"
#include "events/log/sqlite_rows.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace runledger {

namespace {

constexpr int look_timeout_ms = 5000;

std::string text_of(sqlite::connection& db, const std::string& name) {
  auto found = db.query_text("SELECT value FROM meta WHERE name = '" + name + "'");
  return found && *found ? **found : std::string{};
}

/// `kafka cluster ID topics PREFIX.* runs:12 workers:12 ...`
bool read_identity(const std::string& text, replica_facts& out) {
  std::istringstream words{text};
  std::string kafka, cluster, topics, word;
  if (!(words >> kafka >> cluster >> out.cluster >> topics >> out.prefix))
    return false;
  out.source = kafka + ' ' + cluster + ' ' + out.cluster + ' ' + topics + ' ' + out.prefix;
  if (!out.prefix.ends_with(".*"))
    return false;
  out.prefix.resize(out.prefix.size() - 2);
  std::vector<topic_size> sizes;
  while (words >> word) {
    const auto colon = word.find(':');
    topic_size one{word.substr(0, colon), 0};
    const auto digits = colon == word.npos ? std::string{} : word.substr(colon + 1);
    std::from_chars(digits.data(), digits.data() + digits.size(), one.partitions);
    if (one.partitions == 0)
      return false;
    sizes.push_back(std::move(one));
  }
  out.names = name_partitions(sizes);
  return !out.names.empty();
}

} // namespace

result<replica_facts, std::string> replica_facts_of(const std::string& path) {
  using facts = result<replica_facts, std::string>;
  auto db = sqlite::connection::open(path, sqlite::open_mode::read_only, look_timeout_ms);
  if (!db)
    return facts{boost::system::in_place_error, path + ": " + db.error().message};
  replica_facts out;
  if (!read_identity(text_of(*db, "replica_of"), out))
    return facts{boost::system::in_place_error, path + " is no replica of a ledger in Kafka"};
  auto places = db->prepare("SELECT \"partition\" FROM replica_positions WHERE last_offset >= 0");
  if (!places)
    return facts{boost::system::in_place_error, path + ": " + places.error().message};
  while (places->step() == sqlite::step_result::row) {
    const auto p = static_cast<std::size_t>(places->integer(0));
    if (p < out.names.size() && std::ranges::find(out.read, out.names[p].topic) == out.read.end())
      out.read.push_back(out.names[p].topic);
  }
  return out;
}

result<std::unique_ptr<replica_log>, std::string> replica_log::open(const std::string& path) {
  std::unique_ptr<replica_log> out{new replica_log};
  auto copied = private_copy::of(path);
  if (!copied)
    return copied.error();
  out->file_ = *std::move(copied);
  const auto facts = replica_facts_of(out->file_->path());
  if (!facts)
    return facts.error();
  replica_options with;
  with.path = out->file_->path();
  with.source = facts->source;
  with.names = facts->names;
  auto opened = replica::open(std::move(with));
  if (!opened)
    return opened.error();
  out->copy_ = *std::move(opened);
  if (const auto& why = out->copy_->made_anew())
    return path + " cannot be used: " + *why
           + ". The next start of the server reads it anew; `--ledger kafka:BROKERS` reads the "
             "topics";
  return out;
}

void replica_log::append(std::vector<append_request> group, completion done) {
  done(std::vector<append_result>(
      group.size(), {append_outcome::unavailable, verdict::accepted, "opened for reading"}));
}

} // namespace runledger
