#include "projections/replay/partition_check.hpp"

#include "events/base64.hpp"
#include "events/codec.hpp"
#include "events/named_contents.hpp"
#include "events/node.hpp"
#include "events/partition.hpp"

#include <algorithm>
#include <limits>

namespace runledger::replay {

namespace {

std::string refusal_of(verdict v, const stream_head& head) {
  switch (v) {
    case verdict::duplicate:
    case verdict::stale_seq:
      return "it stands behind event " + std::to_string(head.seq) + " of its stream";
    case verdict::gap:
      return "event " + std::to_string(head.seq + 1) + " of its stream is not there";
    case verdict::wrong_epoch:
      return "its writer did not hold the partition (the epoch is not the current one)";
    case verdict::wrong_partition:
      return "its partition or partition key is not its stream's";
    case verdict::broken_chain:
      return "it does not follow the event before it: that one or this one was changed";
    case verdict::bad_hash:
    case verdict::accepted:
      break;
  }
  return std::string{to_string(v)};
}

/// A row that is there beside the one that counts.
bool is_extra(verdict v) {
  return v == verdict::duplicate || v == verdict::stale_seq;
}

bool is_type(const record& r, std::string_view name) {
  auto parts = split_type(r.event.type);
  return parts && parts->name == name && parts->version == 1;
}

} // namespace

partition_check::partition_check(std::uint32_t partition, const event_log& log,
                                 const verify_options& options, copy_check& copied,
                                 verify_report& report)
    : partition_(partition),
      log_(log),
      own_stream_(partition_stream(log.partition_name(partition))),
      options_(options),
      copied_(copied),
      report_(report),
      findings_(report, options.findings_max),
      state_(head_of_empty(partition, log.partition_name(partition))) {
  next_kept_ = kept_.end();
}

finding partition_check::at(finding_kind kind, const record& r, std::string what) const {
  return {kind, partition_, r.event.stream, r.event.seq, r.offset, std::move(what)};
}

finding partition_check::at(finding_kind kind, const expected_head& e, std::string what) const {
  return {kind, partition_, own_stream_, e.head.seq, -1, e.from + ": " + std::move(what)};
}

void partition_check::expect(const kept_head& kept) {
  kept_.emplace(kept.head.tree_size, expected_head{kept.head, kept.from});
  next_kept_ = kept_.begin();
}

std::int64_t partition_check::position() const {
  return begun_ ? next_offset_ : std::numeric_limits<std::int64_t>::min();
}

// -- rows --------------------------------------------------------------------------------------

void partition_check::take(const record& r) {
  if (r.offset < next_offset_)
    findings_.add(at(finding_kind::refused, r, "no event stands before offset 0"));
  else if (options_.offsets_without_gaps && r.offset != next_offset_)
    findings_.add({finding_kind::missing,
                   partition_,
                   {},
                   0,
                   next_offset_,
                   r.offset == next_offset_ + 1
                       ? "the event is gone"
                       : "the events at this and the following offsets, up to "
                             + std::to_string(r.offset - 1) + ", are gone"});
  if (!std::exchange(begun_, true) && !is_type(r, "partition.opened"))
    findings_.add(
        at(finding_kind::unfounded, r, "the partition does not begin with partition.opened"));
  next_offset_ = std::max(next_offset_, r.offset + 1);
  ++report_.events;
  if (!r.damage.empty())
    findings_.add(at(finding_kind::damaged, r, r.damage));
  auto& s = streams_[r.event.stream];
  judge(r, s);
}

void partition_check::judge(const record& r, stream_entry& s) {
  auto v = judge_own(state_, s.head.seq > 0 ? &s.head : nullptr, r);
  if (v != verdict::accepted)
    findings_.add(at(finding_kind::refused, r, refusal_of(v, s.head)));
  if (is_extra(v))
    return;
  if (s.head.seq > 0 && r.event.time < s.head.time)
    findings_.add(at(finding_kind::time_went_back, r,
                     "its time is before that of event " + std::to_string(s.head.seq)));
  advance(state_, s.head, r);
  s.open = r.open;
  s.due_ms = r.due_ms;
  if (r.event.stream == own_stream_)
    return take_own(r);
  if (is_node_stream(r.event.stream))
    take_key(r);
  if (options_.blobs != nullptr)
    check_contents(r);
  copied_.take(r);
  tree_.add(r.event.eventhash);
  last_leaf_ = r.offset;
  if (next_kept_ != kept_.end() && next_kept_->first == tree_.size())
    check_kept_roots();
}

void partition_check::take_own(const record& r) {
  own_hashes_[r.event.seq] = r.event.eventhash;
  if (is_type(r, "partition.opened")) {
    if (auto opened = read_opened(r.event.data))
      ledger_ = opened->ledger;
  } else if (is_type(r, "partition.claimed")) {
    ++report_.claims;
  } else if (is_type(r, tree_head::name)) {
    take_tree_head(r);
  }
}

void partition_check::take_tree_head(const record& r) {
  ++report_.tree_heads;
  auto fact = decode<partition_event>(r.event);
  auto head = signed_head_of(r.event, ledger_);
  if (!fact || !head || !tree_of(std::get<tree_head>(*fact)))
    return findings_.add(at(finding_kind::head_unreadable, r,
                            "the tree head's size, root and frontier do not fit together"));
  own_heads_[head->seq] = *head;
  if (!is_trusted(*head))
    findings_.add(at(finding_kind::head_signature, r,
                     options_.trusted.empty()
                         ? "the tree head is not signed by a key that its node had registered"
                         : "the tree head is not signed by a key that was brought along"));
  if (head->tree_size != tree_.size())
    findings_.add(at(
        head->tree_size > tree_.size() ? finding_kind::fewer_events : finding_kind::other_events, r,
        "the tree head covers " + std::to_string(head->tree_size) + " events, but "
            + std::to_string(tree_.size()) + " stand before it"));
  else if (head->root != tree_.root())
    findings_.add(at(finding_kind::other_events, r, other_root()));
  else if (head->last_offset != last_leaf_)
    findings_.add(at(finding_kind::other_events, r,
                     "the tree head ends at offset " + std::to_string(head->last_offset)
                         + ", its last event stands at " + std::to_string(last_leaf_)));
  else
    note_good();
}

void partition_check::take_key(const record& r) {
  auto fact = decode<node::event>(r.event);
  if (!fact)
    return;
  auto state = node::evolve({}, *fact, r.event.time);
  for (const auto& k : state.keys)
    keys_[r.event.stream.value].push_back(k.key);
}

bool partition_check::is_trusted(const signed_tree_head& head) {
  auto by = [&](const ed25519::public_key& key) { return is_signed_by(head, key); };
  if (!options_.trusted.empty())
    return std::ranges::any_of(options_.trusted, by);
  auto known = keys_.find(node_stream_of(head.node).value);
  return known != keys_.end() ? std::ranges::any_of(known->second, by)
                              : is_registered_elsewhere(head);
}

/// Of several partitions one holds the node's stream: there no order says which came first.
bool partition_check::is_registered_elsewhere(const signed_tree_head& head) {
  auto home = partition_of(node_stream_of(head.node), node_stream_of(head.node).value,
                           log_.partition_names());
  if (!home || *home == partition_)
    return false;
  auto known = keys_elsewhere_.find(head.node);
  if (known == keys_elsewhere_.end()) {
    auto keys = node::read(log_, head.node);
    known = keys_elsewhere_.emplace(head.node, keys ? std::move(*keys) : node::state{}).first;
  }
  return std::ranges::any_of(known->second.keys,
                             [&](const auto& k) { return is_signed_by(head, k.key); });
}

// -- contents beside the ledger ------------------------------------------------------------------

void partition_check::check_contents(const record& r) {
  auto check = [&](const digest& id, std::optional<std::uint64_t> size) {
    if (!contents_.insert(id).second)
      return;
    ++report_.contents;
    auto content = options_.blobs->get(id);
    if (!content)
      findings_.add(
          at(finding_kind::blob, r,
             "its content " + to_hex(id)
                 + (content.error() == blob_errc::missing   ? " is missing"
                    : content.error() == blob_errc::damaged ? " is not the one that was stored"
                                                            : " cannot be read")));
    else if (size && content->size() != *size)
      findings_.add(at(finding_kind::blob, r, "its content " + to_hex(id) + " has another size"));
  };
  for (const auto& content : named_contents(r.event))
    check(content.id, content.size);
}

// -- tree heads ----------------------------------------------------------------------------------

void partition_check::note_good() {
  last_good_size_ = tree_.size();
  last_good_leaf_ = last_leaf_;
}

std::string partition_check::other_root() const {
  return "the root over the first " + std::to_string(tree_.size())
         + " events is not the signed one: among those from offset "
         + std::to_string(last_good_leaf_ + 1) + " to " + std::to_string(last_leaf_)
         + " one was changed, removed, added or moved";
}

/// The tree has the size of heads that were kept.
void partition_check::check_kept_roots() {
  auto root = tree_.root();
  for (; next_kept_ != kept_.end() && next_kept_->first == tree_.size(); ++next_kept_) {
    auto& e = next_kept_->second;
    e.met = e.head.root == root;
    if (!e.met && !is_foreign(e))
      findings_.add(at(finding_kind::other_events, e, other_root()));
  }
}

bool partition_check::is_foreign(const expected_head& e) const {
  return e.head.ledger != ledger_ || e.head.partition != own_stream_.value;
}

/// What only a head from elsewhere can tell.
void partition_check::check_kept(expected_head& e) {
  if (auto same = own_heads_.find(e.head.seq);
      same != own_heads_.end() && same->second == e.head && e.met) {
    ++report_.kept_matched; // Its signature was judged with the ledger's own.
    return;
  }
  if (is_foreign(e))
    return findings_.add(at(finding_kind::foreign_head, e,
                            "it is of the ledger " + e.head.ledger + " (" + e.head.partition
                                + "), this one is " + (ledger_.empty() ? "without an id" : ledger_)
                                + " (" + own_stream_.value + ")"));
  bool trusted = is_trusted(e.head);
  if (!trusted)
    findings_.add(at(finding_kind::head_signature, e,
                     options_.trusted.empty()
                         ? "it is not signed by a key that this ledger has registered"
                         : "it is not signed by a key that was brought along"));
  auto before = own_hashes_.find(e.head.seq - 1);
  if (before == own_hashes_.end() || before->second != e.head.prevhash)
    return findings_.add(at(finding_kind::other_partition, e,
                            "the events before it in the partition's own stream are not the ones "
                            "that were signed, or are gone"));
  auto own = own_heads_.find(e.head.seq);
  if (own == own_heads_.end() || own->second != e.head)
    return findings_.add(at(finding_kind::other_partition, e, "the ledger does not hold it"));
  if (trusted && e.met)
    ++report_.kept_matched;
}

void partition_check::stop(const read_error& why) {
  findings_.add({finding_kind::unreadable, partition_, why.stream, why.seq,
                 why.offset >= 0 ? why.offset : next_offset_,
                 "the ledger cannot be read from here on: " + why.detail});
}

void partition_check::finish() {
  if (!begun_)
    findings_.add({finding_kind::unfounded, partition_, own_stream_, 1, 0,
                   "there is no event, not even the founding one"});
  for (auto& [size, e] : kept_) {
    if (size > tree_.size() && !is_foreign(e))
      findings_.add(at(finding_kind::fewer_events, e,
                       "it covers " + std::to_string(size) + " events, there are "
                           + std::to_string(tree_.size()) + ": the end of the ledger was cut off"));
    check_kept(e);
  }
  report_.streams += streams_.size();
  report_.signed_events += last_good_size_;
  report_.unsigned_events += tree_.size() - last_good_size_;
}

void partition_check::compare(const std::vector<unfinished_stream>& index) {
  std::map<std::string, std::optional<std::int64_t>> open;
  for (const auto& [stream, s] : streams_)
    if (s.open)
      open.emplace(stream.value, s.due_ms);
  auto wrong = [&](const std::string& stream, const char* what) {
    auto known = streams_.find(stream_id{stream});
    findings_.add({finding_kind::unfinished_index, partition_, stream_id{stream},
                   known != streams_.end() ? known->second.head.seq : 0, -1, what});
  };
  for (const auto& u : index) {
    auto known = open.find(u.stream.value);
    if (known == open.end())
      wrong(u.stream.value, "the index calls it unfinished, its last event does not");
    else if (known->second != u.due_ms)
      wrong(u.stream.value, "the index has another time for it than its last event");
    if (known != open.end())
      open.erase(known);
  }
  for (const auto& [stream, due] : open)
    wrong(stream, "its last event calls it unfinished, the index does not have it");
}

} // namespace runledger::replay
