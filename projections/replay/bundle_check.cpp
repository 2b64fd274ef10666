#include "projections/replay/bundle_check.hpp"

#include "events/attributes.hpp"
#include "events/base64.hpp"
#include "events/json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <unordered_map>
#include <utility>

namespace runledger::replay {

namespace {

/// The attributes that `eventhash` covers, in their order (docs/events.md).
constexpr std::array<std::string_view, 15> hashed = {
    "specversion",     "id",       "source",       "type",        "subject",       "time",
    "datacontenttype", "sequence", "partitionkey", "causationid", "correlationid", "principal",
    "traceparent",     "datahash", "prevhash"};

std::optional<std::string_view> text_of(const json::value& object, std::string_view name) {
  const auto found = object.find(name);
  return found && found->is_string() ? std::optional{found->string()} : std::nullopt;
}

std::optional<std::uint64_t> number_of(const json::value& object, std::string_view name) {
  const auto found = object.find(name);
  const auto n = found && found->is_number() ? found->integer() : std::nullopt;
  return n && *n >= 0 ? std::optional{static_cast<std::uint64_t>(*n)} : std::nullopt;
}

std::optional<std::vector<digest>> path_of(const json::value& object, std::string_view name) {
  const auto found = object.find(name);
  if (!found || !found->is_array())
    return std::nullopt;
  std::vector<digest> out;
  for (const auto each : found->children()) {
    const auto hash = each.is_string() ? digest_from_hex(each.string()) : std::nullopt;
    if (!hash)
      return std::nullopt;
    out.push_back(*hash);
  }
  return out;
}

bool only_these(const json::value& object, std::initializer_list<std::string_view> names) {
  for (const auto member : object.children())
    if (std::ranges::find(names, member.name()) == names.end())
      return false;
  return true;
}

/// An event as its line has it: the texts that are hashed, not what they stand for.
struct told_event {
  std::array<std::string, hashed.size()> texts;
  std::string data;
  std::uint64_t seq = 0;
  digest datahash, prevhash, eventhash;
  std::string partition;
  std::int64_t offset = -1;
  std::uint64_t leaf = 0;
  std::optional<std::vector<digest>> path;

  const std::string& text(std::string_view name) const {
    return texts[static_cast<std::size_t>(std::ranges::find(hashed, name) - hashed.begin())];
  }
  const std::string& stream() const { return text("subject"); }
  digest computed_hash() const {
    std::string header = "runledger-event-1\n";
    for (std::size_t i = 0; i < hashed.size(); ++i)
      append_attribute(header, hashed[i], texts[i]);
    return sha256(header);
  }
};

/// False: the object is no event in form.
bool read_attributes(const json::value& object, told_event& out) {
  if (!object.is_object())
    return false;
  for (const auto member : object.children()) {
    const auto known = std::ranges::find(hashed, member.name());
    if (!member.is_string()
        || (known == hashed.end() && member.name() != "eventhash"
            && member.name() != "data_base64"))
      return false;
    if (known != hashed.end())
      out.texts[static_cast<std::size_t>(known - hashed.begin())] = member.string();
  }
  const auto own = text_of(object, "eventhash"), encoded = text_of(object, "data_base64");
  const auto event_hash = own ? digest_from_hex(*own) : std::nullopt;
  const auto data_hash = digest_from_hex(out.text("datahash")),
             before = digest_from_hex(out.text("prevhash"));
  auto data = encoded ? from_base64(*encoded) : std::nullopt;
  if (!event_hash || !data_hash || !before || !data)
    return false;
  out.eventhash = *event_hash, out.datahash = *data_hash, out.prevhash = *before;
  out.data = *std::move(data);
  const auto& seq = out.text("sequence");
  std::from_chars(seq.data(), seq.data() + seq.size(), out.seq);
  return out.seq > 0 && std::to_string(out.seq) == seq && out.text("id") == out.stream() + ':' + seq
         && !out.stream().empty();
}

bool read_event(const json::value& line, told_event& out) {
  const auto partition = text_of(line, "partition");
  const auto offset = number_of(line, "offset"), leaf = number_of(line, "leaf");
  const auto event = line.find("event");
  if (!partition || !offset || !leaf || !event
      || !only_these(line, {"kind", "partition", "offset", "leaf", "path", "event"}))
    return false;
  out.partition = *partition, out.leaf = *leaf;
  out.offset = static_cast<std::int64_t>(*offset);
  out.path = path_of(line, "path");
  return out.path.has_value() == line.find("path").has_value() && read_attributes(*event, out);
}

/// The number at the end of a partition's name.
std::uint32_t number_of_partition(std::string_view name) {
  std::uint32_t out = 0;
  const auto digits = name.substr(name.rfind('_') + 1);
  std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return out;
}

class checker {
public:
  explicit checker(const bundle_check_options& options) : options_(options) {}

  /// The first line. An error: it is none of ours.
  result<void, std::string> take_manifest(std::string_view line) {
    const auto parsed = json::parse(line);
    const auto format = parsed ? text_of(parsed->root(), "format") : std::nullopt;
    if (!format || *format != bundle_format || text_of(parsed->root(), "kind") != "bundle")
      return "it is no bundle: the first line is not that of `audit export`";
    const auto version = number_of(parsed->root(), "version");
    if (version && *version > static_cast<std::uint64_t>(bundle_version))
      return "it is of format " + std::to_string(*version) + ", this program reads up to "
             + std::to_string(bundle_version) + ": use a newer one";
    if (version != static_cast<std::uint64_t>(bundle_version) || !read_manifest(parsed->root()))
      return "its first line says what no bundle can say";
    return {};
  }

  void take_line(std::string_view text) {
    ++line_;
    const auto parsed = json::parse(text);
    const auto kind = parsed ? text_of(parsed->root(), "kind") : std::nullopt;
    const int phase = kind == "key" ? 1 : kind == "tree_head" ? 2 : kind == "event" ? 3 : 4;
    const bool in_order = phase >= phase_;
    phase_ = std::max(phase_, phase);
    ended_ = ended_ || kind == "end";
    if (phase == 4)
      add(finding_kind::bundle, kind == "end" ? "the bundle ends here, but more follows"
                                              : "the line is none of a bundle");
    else if (!in_order)
      add(finding_kind::bundle, "the line does not stand where it belongs");
    else if (phase == 1)
      take_key(parsed->root());
    else if (phase == 2)
      take_head(parsed->root());
    else
      take_event(parsed->root());
  }

  /// The last line, held against what it must be. False: it is no end at all.
  bool take_end(const std::string& text, bool whole, const digest& before) {
    ++line_;
    const bool is_end = whole && text.starts_with(R"({"kind":"end")");
    if (!is_end && !ended_)
      return false;
    if (is_end && text == bundle_end_line(before))
      return true;
    add(finding_kind::bundle_digest, "the digest of the lines before is another: one of them was "
                                     "changed, removed, added or moved");
    return true;
  }

  bundle_report finish() {
    line_ = 1;
    add_unless(keys_ == told_keys_, finding_kind::bundle, "the first line counts other keys");
    add_unless(report_.tree_heads == told_heads_, finding_kind::bundle,
               "the first line counts other tree heads");
    add_unless(report_.events == told_events_ && report_.unsigned_events == told_unsigned_,
               finding_kind::bundle, "the first line counts other events");
    if (!options_.allow_unsigned)
      add_unless(report_.unsigned_events == 0, finding_kind::unsigned_events,
                 std::to_string(report_.unsigned_events)
                     + " events stand under no signed head: whoever wrote the file could have "
                       "written them. Wait for the next tree head and export again, or take them "
                       "as they are with --allow-unsigned");
    add_unless(report_.events > 0, finding_kind::missing, "it holds no event");
    for (const auto& asked : {report_.asked.run.value, report_.asked.session.value})
      add_unless(asked.empty() || streams_.contains(asked), finding_kind::missing,
                 "nothing is there of " + asked + ", which was asked for");
    for (const auto& kept : options_.kept)
      check_kept(kept);
    report_.streams = streams_.size();
    return std::move(report_);
  }

private:
  struct stream_end {
    std::uint64_t seq = 0;
    digest hash;
  };
  struct partition_state {
    std::optional<signed_tree_head> newest;
    std::uint64_t kept_size = 0; ///< The largest head that the auditor kept.
    std::uint64_t leaf = 0;      ///< Of its last event.
    std::int64_t offset = -1;
    bool begun = false;
  };

  bool read_manifest(const json::value& line) {
    const auto ledger = text_of(line, "ledger"), made_at = text_of(line, "made_at"),
               made_by = text_of(line, "made_by");
    const auto asked = line.find("asked");
    const auto keys = number_of(line, "keys"), heads = number_of(line, "tree_heads"),
               events = number_of(line, "events"), behind = number_of(line, "unsigned_events");
    if (!ledger || !made_at || !made_by || !asked || !keys || !heads || !events || !behind
        || !only_these(line, {"kind", "format", "version", "ledger", "asked", "made_at", "made_by",
                              "keys", "tree_heads", "events", "unsigned_events"}))
      return false;
    report_.ledger = *ledger, report_.made_at = *made_at, report_.made_by = *made_by;
    told_keys_ = *keys, told_heads_ = *heads, told_events_ = *events, told_unsigned_ = *behind;
    return read_asked(*asked);
  }

  bool read_asked(const json::value& asked) {
    auto& to = report_.asked;
    to.run.value = text_of(asked, "run").value_or("");
    to.session.value = text_of(asked, "session").value_or("");
    to.workspace.value = text_of(asked, "workspace").value_or("");
    if (const auto since = text_of(asked, "since"))
      to.since = parse_rfc3339(*since);
    if (const auto until = text_of(asked, "until"))
      to.until = parse_rfc3339(*until);
    return asked.is_object() && to.to_json() == asked.raw() && can_be_asked(to);
  }
  /// What the exporter takes, too.
  static bool can_be_asked(const selection& what) {
    if (!what.session.empty())
      return what.workspace.empty() && what.whole_streams();
    return what.run.empty() && !(what.everything() && what.whole_streams());
  }

  // -- findings ----------------------------------------------------------------------------------

  void add(finding f) {
    ++report_.found;
    f.what = "line " + std::to_string(line_) + ": " + f.what;
    if (report_.findings.size() < options_.findings_max)
      report_.findings.push_back(std::move(f));
  }
  void add(finding_kind kind, std::string what) { add({kind, 0, {}, 0, -1, std::move(what)}); }
  void add_unless(bool right, finding_kind kind, std::string what) {
    if (!right)
      add(kind, std::move(what));
  }
  void add(finding_kind kind, const told_event& e, std::string what) {
    add({kind, number_of_partition(e.partition), stream_id{e.stream()}, e.seq, e.offset,
         std::move(what)});
  }

  // -- keys and heads ----------------------------------------------------------------------------

  void take_key(const json::value& line) {
    ++keys_;
    const auto node = text_of(line, "node"), encoded = text_of(line, "public_key"),
               fingerprint = text_of(line, "fingerprint");
    const auto der = encoded ? from_base64(*encoded) : std::nullopt;
    const auto key = der ? ed25519::public_key_from_der(*der) : std::nullopt;
    if (!node || !key || !fingerprint || *fingerprint != to_hex(key->fingerprint())
        || !only_these(line, {"kind", "node", "fingerprint", "public_key"}))
      return add(finding_kind::bundle, "this is no key, or another than its fingerprint says");
    known_.emplace(*node, *key);
  }

  bool is_trusted(const signed_tree_head& head) const {
    auto by = [&](const ed25519::public_key& key) { return is_signed_by(head, key); };
    if (!options_.trusted.empty())
      return std::ranges::any_of(options_.trusted, by);
    const auto [first, last] = known_.equal_range(head.node);
    return std::any_of(first, last, [&](const auto& each) { return by(each.second); });
  }

  void add(finding_kind kind, const signed_tree_head& head, std::string what) {
    add({kind, number_of_partition(head.partition), stream_id{head.partition}, head.seq, -1,
         std::move(what)});
  }

  void take_head(const json::value& line) {
    ++report_.tree_heads;
    const auto written = line.find("head");
    const auto head = written ? head_from_line(written->raw()) : std::nullopt;
    if (!head || written->raw() != to_line(*head)
        || !only_these(line, {"kind", "head", "consistency"}))
      return add(finding_kind::head_unreadable, "this is no tree head");
    if (head->ledger != report_.ledger)
      return add(finding_kind::foreign_head, *head,
                 "the tree head is of the ledger " + head->ledger);
    if (!is_trusted(*head))
      return add(finding_kind::head_signature, *head,
                 options_.trusted.empty()
                     ? "the tree head is not signed by a key of its node in the bundle"
                     : "the tree head is not signed by a key that was brought along");
    auto& p = partitions_[head->partition];
    if (!p.newest && line.find("consistency"))
      return add(finding_kind::bundle, *head,
                 "the first tree head of a partition continues itself");
    if (!p.newest)
      p.newest = *head;
    else if (const auto path = path_of(line, "consistency");
             !path
             || !merkle::verify_consistency(head->tree_size, head->root, p.newest->tree_size,
                                            p.newest->root, *path))
      return add(finding_kind::other_events, *head,
                 "nothing proves that the tree head " + std::to_string(p.newest->seq)
                     + " continues this one");
    if (std::ranges::any_of(options_.kept, [&](const auto& k) { return k.head == *head; }))
      p.kept_size = std::max(p.kept_size, head->tree_size);
    heads_.push_back(*head);
  }

  void check_kept(const kept_head& kept) {
    if (std::ranges::find(heads_, kept.head) != heads_.end()) {
      ++report_.kept_matched;
      return;
    }
    ++report_.found;
    if (report_.findings.size() >= options_.findings_max)
      return;
    const bool foreign = kept.head.ledger != report_.ledger;
    report_.findings.push_back(
        {foreign ? finding_kind::foreign_head : finding_kind::other_partition,
         number_of_partition(kept.head.partition), stream_id{kept.head.partition}, kept.head.seq,
         -1,
         kept.from
             + (foreign ? ": it is of the ledger " + kept.head.ledger + ", the bundle of "
                              + report_.ledger
                        : ": the bundle is not tied to this tree head: export it with --against "
                          "that file")});
  }

  // -- events ------------------------------------------------------------------------------------

  void take_event(const json::value& line) {
    ++report_.events;
    told_event e;
    if (!read_event(line, e))
      return add(finding_kind::bundle, e, "this is no event");
    add_unless(report_.asked.holds(e.stream(), e.text("partitionkey"), workspace_of(e)),
               finding_kind::bundle, e, "the event is not of what was asked for");
    const bool whole = sha256(e.data) == e.datahash && e.computed_hash() == e.eventhash;
    add_unless(whole, finding_kind::damaged, e,
               sha256(e.data) != e.datahash ? "its data was changed: datahash is another"
                                            : "it was changed: eventhash is another");
    check_chain(e);
    check_place(e, whole);
  }
  void add_unless(bool right, finding_kind kind, const told_event& e, std::string what) {
    if (!right)
      add(kind, e, std::move(what));
  }

  static std::string_view workspace_of(const told_event& e) {
    constexpr std::string_view source = "/runledger/";
    std::string_view text = e.text("source");
    return text.starts_with(source) ? text.substr(source.size()) : std::string_view{};
  }

  void check_chain(const told_event& e) {
    const auto [known, first] = streams_.try_emplace(e.stream());
    auto& end = known->second;
    if (first && (e.seq == 1 || report_.asked.whole_streams()))
      add_unless(e.seq == 1 && e.prevhash == digest{}, finding_kind::refused, e,
                 "the events before it are not there");
    else if (!first && e.seq != end.seq + 1)
      add(finding_kind::refused, e,
          "it stands behind event " + std::to_string(end.seq) + " of its stream");
    else if (!first && e.prevhash != end.hash)
      add(finding_kind::refused, e,
          "it does not follow the event before it: that one or this one was changed");
    end = {e.seq, e.eventhash};
  }

  /// Its place in the tree. What stands behind the newest head is told, and counted as such.
  void check_place(const told_event& e, bool whole) {
    auto& p = partitions_[e.partition];
    if (p.begun && (e.leaf <= p.leaf || e.offset <= p.offset))
      add(finding_kind::refused, e, "it does not stand behind the event before it");
    else if (p.begun && report_.asked.everything() && e.leaf != p.leaf + 1)
      add(finding_kind::missing, e, "events before it are gone");
    p.begun = true, p.leaf = e.leaf, p.offset = e.offset;
    const bool covered = p.newest && e.leaf < p.newest->tree_size;
    if (covered != e.path.has_value())
      return add(finding_kind::other_events, e,
                 covered ? "it stands under the tree head, but without a proof"
                         : "it has a proof, but no tree head covers it");
    if (!covered) {
      ++report_.unsigned_events;
      return;
    }
    if (!merkle::verify_inclusion(e.eventhash, e.leaf, p.newest->tree_size, *e.path,
                                  p.newest->root))
      return add(finding_kind::other_events, e, "the signed tree holds another event at this leaf");
    report_.signed_events += whole;
    report_.kept_events += whole && e.leaf < p.kept_size;
  }

  const bundle_check_options& options_;
  bundle_report report_;
  std::uint64_t line_ = 1;
  int phase_ = 0; ///< Keys come before heads, heads before events.
  bool ended_ = false;
  std::uint64_t keys_ = 0;
  std::uint64_t told_keys_ = 0, told_heads_ = 0, told_events_ = 0, told_unsigned_ = 0;
  std::multimap<std::string, ed25519::public_key, std::less<>> known_; ///< By node.
  std::vector<signed_tree_head> heads_;
  std::map<std::string, partition_state> partitions_;
  std::unordered_map<std::string, stream_end> streams_;
};

struct file_line {
  std::string text;
  bool whole = false; ///< A line feed ends it.
};
bool read_line(std::istream& from, file_line& to) {
  if (!std::getline(from, to.text))
    return false;
  to.whole = !from.eof();
  return true;
}

} // namespace

result<bundle_report, std::string> check_bundle(std::istream& bundle,
                                                const bundle_check_options& options) {
  constexpr std::uint64_t lines_between_reports = 256;
  const std::string cut_off = "it was cut off: the line that ends a bundle is missing. Copy or "
                              "export it again";
  checker check{options};
  sha256_hasher hasher;
  file_line now, next;
  if (!read_line(bundle, now))
    return std::string{bundle.bad() ? "it cannot be read" : "it is empty"};
  if (auto known = check.take_manifest(now.text); !known)
    return known.error();
  std::uint64_t read = 0, lines = 0;
  // Each line waits for the next one, because the last is another.
  for (; read_line(bundle, next); ++lines) {
    if (lines > 0)
      check.take_line(now.text);
    now.text += '\n';
    hasher.update(now.text);
    read += now.text.size();
    if (options.progress && lines % lines_between_reports == 0)
      options.progress(read, options.size_bytes);
    std::swap(now, next);
  }
  if (bundle.bad())
    return std::string{"it cannot be read to its end"};
  if (lines == 0 || !check.take_end(now.text, now.whole, hasher.finish()))
    return cut_off;
  return check.finish();
}

} // namespace runledger::replay
