#include "events/log/tree_keeper.hpp"

#include "events/codec.hpp"
#include "events/node.hpp"

#include <algorithm>

namespace runledger {

namespace {

/// Claims since the last head are few: a start each.
constexpr std::uint64_t backward_page = 64;

bool is_head(const record& r) {
  static const auto type = full_type(tree_head::name, 1);
  return r.event.type == type;
}

std::string place(const record& r) {
  return r.event.id() + ", offset " + std::to_string(r.offset);
}

} // namespace

tree_keeper::tree_keeper(const event_log& log, const partition_claim& claim)
    : log_(log),
      claim_(claim),
      own_stream_(partition_stream(log.partition_name(claim.partition))),
      own_(claim.head) {}

void tree_keeper::start() {
  auto last = last_head();
  if (!last) {
    failed_ = own_stream_.value + " cannot be read: " + last.error().detail;
    return;
  }
  if (*last == nullptr)
    return;
  auto head = signed_head_of((*last)->event, claim_.ledger);
  auto fact = decode<partition_event>((*last)->event);
  auto tree = fact ? tree_of(std::get<tree_head>(*fact)) : std::nullopt;
  if (!head || !tree || !is_known(*head))
    return; // Counted anew from the beginning.
  tree_ = std::move(*tree);
  covered_ = tree_.size();
  last_offset_ = head->last_offset;
  position_ = last_offset_ + 1;
}

bool tree_keeper::is_known(const signed_tree_head& head) const {
  auto known = node::read(log_, head.node);
  return known && std::ranges::any_of(known->keys, [&](const node::registered_key& k) {
           return is_signed_by(head, k.key);
         });
}

result<record_ptr, read_error> tree_keeper::last_head() const {
  for (auto behind = own_.seq + 1; behind > 1;) {
    auto first = behind > backward_page ? behind - backward_page : 1;
    auto page = log_.read_stream(own_stream_, first, static_cast<std::size_t>(behind - first));
    if (!page)
      return page.error();
    auto found =
        std::find_if(page->rbegin(), page->rend(), [](const record_ptr& r) { return is_head(*r); });
    if (found != page->rend())
      return *found;
    behind = first;
  }
  return record_ptr{};
}

bool tree_keeper::advance(std::size_t limit) {
  for (std::size_t taken = 0; !failed_;) {
    auto end = log_.end_offset(claim_.partition);
    current_ = position_ >= end;
    if (current_ || taken >= limit)
      return !current_;
    auto records = log_.read_partition(claim_.partition, position_, limit);
    if (!records) {
      if (records.error().what == read_error::kind::corrupt)
        failed_ = "the ledger is damaged: " + records.error().detail;
      return false;
    }
    if (records->empty())
      position_ = end; // Nothing that was accepted.
    for (const auto& r : *records)
      take(*r);
    taken += records->size();
  }
  return false;
}

void tree_keeper::take(const record& r) {
  if (failed_)
    return;
  if (!r.damage.empty()) {
    failed_ = place(r) + ": " + r.damage;
    return;
  }
  position_ = r.offset + 1;
  if (r.event.stream == own_stream_)
    return take_own(r);
  tree_.add(r.event.eventhash);
  last_offset_ = r.offset;
}

void tree_keeper::take_own(const record& r) {
  if (r.event.seq > own_.seq)
    follow(own_, r);
  if (!is_head(r))
    return;
  auto head = signed_head_of(r.event, claim_.ledger);
  if (!head)
    return;
  if (head->tree_size <= tree_.size())
    covered_ = std::max(covered_, head->tree_size);
  heads_.push_back(std::move(*head));
}

std::shared_ptr<record> tree_keeper::make_head(std::string_view node,
                                               const ed25519::private_key& key,
                                               timestamp now) const {
  return make_tree_head({claim_.ledger, own_, claim_.epoch, node, now}, tree_, last_offset_, key);
}

} // namespace runledger
