#include "projections/replay/copy_check.hpp"

#include "events/node.hpp"
#include "events/topics.hpp"

#include <algorithm>

namespace runledger::replay {

namespace {

signed_tree_head head_of_source(const std::string& ledger, const copied_partition& of) {
  const auto& h = *of.head;
  return {ledger, of.partition,  h.sequence, h.prevhash, h.time,     h.tree_size,
          h.root, h.last_offset, h.node,     h.key,      h.signature};
}

} // namespace

void finding_list::add(finding f) {
  ++report_.found;
  if (report_.findings.size() < most_)
    report_.findings.push_back(std::move(f));
}

copy_check::copy_check(const event_log& log, const verify_options& options, verify_report& report)
    : log_(log),
      options_(options),
      report_(report),
      findings_(report, options.findings_max),
      places_(log.partition_count()) {
  // What cannot be read is found where the partition is checked.
  if (auto facts = copy_facts_of(log))
    facts_ = *std::move(facts);
  if (!facts_.started)
    return;
  for (const auto& each : facts_.started->partitions) {
    source of{each, {}, {}, {}};
    if (each.head)
      of.expected.emplace(each.head->tree_size,
                          expected_root{head_of_source(facts_.started->ledger, each), nullptr});
    for (const auto& kept : options.kept)
      if (is_of_source(kept.head) && kept.head.partition == each.partition)
        of.expected.emplace(kept.head.tree_size, expected_root{kept.head, &kept});
    sources_.emplace(each.partition, std::move(of));
  }
}

bool copy_check::is_of_source(const signed_tree_head& head) const {
  return facts_.started && head.ledger == facts_.started->ledger
         && std::ranges::any_of(facts_.started->partitions, [&](const copied_partition& p) {
              return p.partition == head.partition;
            });
}

void copy_check::find(finding_kind kind, const record& r, std::string what) {
  findings_.add({kind, r.partition, r.event.stream, r.event.seq, r.offset, std::move(what)});
}

void copy_check::find(finding_kind kind, std::string what) {
  findings_.add({kind, 0, partition_stream(log_.partition_name(0)), 0, -1, std::move(what)});
}

void copy_check::take(const record& r) {
  if (r.partition >= places_.size())
    return; // The fold has refused it.
  auto& here = places_[r.partition];
  if (r.origin.empty())
    take_own(r, here);
  else
    take_copied(r, here);
}

void copy_check::take_own(const record& r, place& here) {
  here.has_own = true;
  if (facts_.started && here.copied_epoch && r.epoch <= *here.copied_epoch)
    find(finding_kind::origin, r, "it stands among the copied events and was not copied");
}

void copy_check::take_copied(const record& r, place& here) {
  ++report_.copied_events;
  const auto origin = read_origin(r.origin);
  if (!origin || !facts_.started || origin->ledger != facts_.started->ledger)
    return find(finding_kind::origin, r,
                "it says that it was copied from " + r.origin
                    + (facts_.started ? ", this ledger is a copy of " + facts_.started->ledger
                                      : ", this ledger is no copy"));
  const auto found = sources_.find(origin->partition);
  if (found == sources_.end() || origin->leaf >= found->second.what.events)
    return find(finding_kind::origin, r,
                "it says that it was copied from " + r.origin + ", where no event stood");
  auto& of = found->second;
  if (here.has_own)
    find(finding_kind::origin, r, "it was copied, and stands behind events that were not");
  here.copied_epoch = r.epoch;
  const auto last = here.last.find(of.what.partition);
  if (options_.offsets_without_gaps && last != here.last.end() && origin->leaf < last->second)
    find(finding_kind::origin, r, "it stands behind an event that it stood before in the source");
  here.last[of.what.partition] = origin->leaf;
  if (origin->leaf < of.tree.size() || of.waiting.contains(origin->leaf))
    return find(finding_kind::origin, r, "another event was copied from " + r.origin + ", too");
  add(of, origin->leaf, r.event.eventhash);
}

void copy_check::add(source& of, std::uint64_t leaf, const digest& hash) {
  if (leaf != of.tree.size()) {
    of.waiting.emplace(leaf, hash);
    return;
  }
  of.tree.add(hash);
  check_size(of);
  for (auto next = of.waiting.find(of.tree.size()); next != of.waiting.end();
       next = of.waiting.find(of.tree.size())) {
    of.tree.add(next->second);
    of.waiting.erase(next);
    check_size(of);
  }
}

void copy_check::check_size(source& of) {
  const auto [first, last] = of.expected.equal_range(of.tree.size());
  for (auto e = first; e != last; ++e)
    e->second.met = e->second.head.root == of.tree.root();
}

bool copy_check::is_trusted(const signed_tree_head& head) const {
  const auto by = [&](const ed25519::public_key& key) { return is_signed_by(head, key); };
  if (!options_.trusted.empty())
    return std::ranges::any_of(options_.trusted, by);
  const auto known = node::read(log_, head.node); // Its stream was copied, too.
  return known && std::ranges::any_of(known->keys, [&](const auto& k) { return by(k.key); });
}

void copy_check::finish() {
  if (!facts_.started)
    return;
  std::uint64_t events = 0;
  for (const auto& [name, of] : sources_) {
    events += of.what.events;
    finish(of);
  }
  if (!facts_.ended)
    find(finding_kind::fewer_events,
         "the ledger is a copy of " + facts_.started->from
             + " that is not whole: `runledger ledger copy` goes on where it ended");
  else if (facts_.ended->events != events)
    find(finding_kind::fewer_events, "the copy ends with " + std::to_string(facts_.ended->events)
                                         + " events, the source had " + std::to_string(events));
}

void copy_check::finish(const source& of) {
  if (of.tree.size() < of.what.events)
    find(finding_kind::fewer_events, "of the " + std::to_string(of.what.events)
                                         + " events of the source's " + of.what.partition
                                         + " number " + std::to_string(of.tree.size())
                                         + " is not there (its origin ends with that number)");
  else if (of.tree.root() != of.what.root)
    find(finding_kind::other_events,
         "the root over the copied events of the source's " + of.what.partition
             + " is not the one with which it was sealed: one was changed, removed, added or "
               "moved");
  std::uint64_t covered = 0;
  for (const auto& [size, e] : of.expected)
    if (finish(of, e))
      covered = size; // They come in order of size.
  report_.copied_unsigned += of.what.events - std::min(covered, of.what.events);
}

/// Whether it covers what it says, and is trusted.
bool copy_check::finish(const source& of, const expected_root& e) {
  const auto which = e.kept != nullptr
                         ? e.kept->from + ", a tree head of the source's " + of.what.partition
                         : "the last tree head of the source's " + of.what.partition;
  const bool trusted = is_trusted(e.head);
  if (!trusted)
    find(finding_kind::head_signature,
         which + " is not signed by a key that "
             + (options_.trusted.empty() ? "its node had registered" : "was brought along"));
  if (!e.met)
    find(finding_kind::other_events, which + " covers " + std::to_string(e.head.tree_size)
                                         + " events with another root than those that are "
                                           "copied");
  if (!e.met || !trusted)
    return false;
  ++(e.kept != nullptr ? report_.kept_matched : report_.foreign_heads);
  return true;
}

} // namespace runledger::replay
