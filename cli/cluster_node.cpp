#include "cli/cluster_node.hpp"

#include "cli/kafka_ledger.hpp"
#include "cli/private_file.hpp"
#include "events/digest.hpp"
#include "events/log/kafka/group_members.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <spdlog/spdlog.h>
#include <stdexcept>

namespace runledger::cli {

namespace {

constexpr std::chrono::seconds look_again{1};
constexpr std::size_t shortest_secret = 32;
constexpr std::string_view leading = "runs"; // The topic whose partitions the group shares.

/// `http://host:port#node-...#proof`: where a member is reached, which it is, and that it knows the
/// cluster's secret. Nodes send their authorization to no other.
std::string member_name(const std::string& address, const std::string& node,
                        std::string_view secret) {
  const auto name = address + '#' + node;
  return name + '#' + to_hex(hmac_sha256(secret, "member " + name));
}
std::optional<std::string> proven_address(std::string_view member, std::string_view secret) {
  const auto address = member.substr(0, member.find('#'));
  const auto rest = member.substr(std::min(address.size() + 1, member.size()));
  const auto node = rest.substr(0, rest.find('#'));
  if (!equal_in_constant_time(member, member_name(std::string{address}, std::string{node}, secret)))
    return std::nullopt;
  return std::string{address};
}

} // namespace

std::string read_cluster_secret(const std::string& path) {
  if (is_open_to_others(path))
    throw std::runtime_error(fmt::format(
        "`kafka.cluster_secret_file`: others on this machine can read or write {}, and who knows "
        "the secret is an administrator. chmod 600 {}, or make another secret if others use this "
        "machine",
        path, path));
  const auto text = read_private_file(path);
  if (text && text->size() >= shortest_secret)
    return *text;
  throw std::runtime_error(fmt::format(
      "`kafka.cluster_secret_file`: {} {}. The nodes of a cluster know each other by a secret of "
      "at least {} characters, the same on each. To make one: (umask 077; openssl rand -hex 32 "
      ">{})",
      path, text ? "is too short" : "cannot be read", shortest_secret, path));
}

/// The other members, as the group's last view has them.
struct cluster_node::known_nodes {
  std::shared_ptr<const kafka::group_view> of;
  std::vector<std::optional<std::string>> holders; ///< By the partition's flat number.
  std::vector<bool> strange; ///< Likewise: was given to a member that proves nothing.
  std::vector<std::string> others;
  std::size_t strangers = 0;
};

cluster_node::cluster_node(http::net::io_context& io, const settings& with,
                           std::span<const topic_partition> names)
    : io_(io), settings_(with), names_(names), address_(with.kafka.advertise), timer_(io) {}

cluster_node::~cluster_node() {
  stop();
}

kafka::group::options cluster_node::group_options() {
  kafka::group::options out;
  out.with = cluster_from(settings_.kafka);
  out.log = out.with.log;
  out.name = kafka::owners_group(settings_.kafka.topic_prefix);
  out.client = client_;
  out.topics = {leading_topic()};
  out.session_timeout = std::chrono::milliseconds{settings_.kafka.session_timeout_ms};
  auto self = weak_from_this();
  out.assigned = [this](const auto& raw) { post([this, what = numbers_of(raw)] { given(what); }); };
  out.revoked = [this](const auto& raw, auto done) {
    post([this, what = numbers_of(raw), done = std::move(done)] { asked_back(what, done); });
  };
  out.lost = [this](const auto& raw) {
    post([this, what = numbers_of(raw)] {
      spdlog::warn("{} partitions were given to other nodes: this one was silent for too long",
                   what.size());
      losses_ += what.size();
      asked_back(what, nullptr);
    });
  };
  return out;
}

void cluster_node::start(engine& with, const std::string& node, std::string secret) {
  engine_ = &with;
  secret_ = std::move(secret);
  client_ = member_name(address_, node, secret_);
  auto made = kafka::group::open(group_options());
  if (!made)
    throw std::runtime_error("the group of the nodes cannot be joined: " + made.error().message);
  spdlog::info("joining the group {}.owners as {}#{}", settings_.kafka.topic_prefix, address_,
               node);
  look_at_share();
  std::lock_guard guard{mutex_};
  group_ = *std::move(made);
}

void cluster_node::leave(std::chrono::steady_clock::time_point until) {
  if (const auto group = membership_now())
    group->leave(until);
}

void cluster_node::stop() {
  if (const auto group = membership_now())
    group->stop();
  timer_.cancel();
  engine_ = nullptr; // What was posted before finds nobody.
}

std::shared_ptr<kafka::group> cluster_node::membership_now() const {
  std::lock_guard guard{mutex_};
  return group_;
}

/// On the HTTP thread, unless this is gone by then.
void cluster_node::post(std::function<void()> work) {
  http::net::post(io_, [self = weak_from_this(), work = std::move(work)] {
    if (const auto here = self.lock())
      work();
  });
}

// -- what is held here ---------------------------------------------------------------------------

std::string cluster_node::leading_topic() const {
  return fmt::format("{}.{}", settings_.kafka.topic_prefix, leading);
}

/// With a partition of the leading topic go those of its number of the other topics, so that each
/// node has a like share of each.
cluster_node::partitions
cluster_node::numbers_of(const std::vector<kafka::raw_partition>& raw) const {
  std::uint32_t of_runs = 1;
  for (const auto& name : names_)
    if (name.topic == leading)
      of_runs = name.count;
  std::set<std::uint32_t> led;
  for (const auto& p : raw)
    if (p.topic == leading_topic())
      led.insert(static_cast<std::uint32_t>(p.partition));
  partitions out;
  for (std::uint32_t n = 0; n < names_.size(); ++n)
    if (led.contains(names_[n].number % of_runs))
      out.push_back(n);
  return out;
}

void cluster_node::given(partitions what) {
  spdlog::info("{} partitions are this node's now", what.size());
  given_.insert(what.begin(), what.end());
  take(std::move(what));
}

void cluster_node::asked_back(const partitions& what, std::function<void()> done) {
  spdlog::info("{} partitions go to other nodes", what.size());
  for (auto p : what)
    given_.erase(p);
  if (!done)
    done = [] {};
  if (engine_ != nullptr)
    engine_->release(what, std::move(done));
  else
    done();
}

void cluster_node::take(partitions what) {
  if (what.empty() || engine_ == nullptr)
    return;
  taking_.insert(what.begin(), what.end());
  engine_->take(what, [this, self = weak_from_this(), what](std::vector<take_failure> failures) {
    if (const auto here = self.lock())
      post([this, what, failures = std::move(failures)] { took(what, failures); });
  });
}

void cluster_node::took(const partitions& what, const std::vector<take_failure>& failures) {
  takes_ += what.size() - failures.size();
  failures_ += failures.size();
  for (auto p : what) {
    taking_.erase(p);
    if (std::ranges::find(failures, p, &take_failure::partition) == failures.end())
      complained_.erase(p);
  }
  for (const auto& each : failures)
    if (given_.contains(each.partition) && complained_.insert(each.partition).second)
      spdlog::warn("partition {} cannot be taken, and is tried again every second: {}",
                   each.partition, each.why.detail);
}

void cluster_node::lost(std::uint32_t partition) {
  post([this, partition] {
    ++losses_;
    spdlog::warn("partition {} was claimed by another process{}", partition,
                 given_.contains(partition) ? " although the group gives it to this node" : "");
  });
}

/// Whatever the group gives to this node is held by it in the end: a claim may fail, another
/// process may claim, and a release that is late may give up what was given again meanwhile.
void cluster_node::look_at_share() {
  timer_.expires_after(look_again);
  timer_.async_wait([this, self = weak_from_this()](const boost::system::error_code& ec) {
    const auto here = self.lock();
    if (ec || !here || engine_ == nullptr)
      return;
    engine_->look_for_claims();
    partitions missing;
    for (auto p : given_)
      if (!taking_.contains(p) && !engine_->holds(p))
        missing.push_back(p);
    take(std::move(missing));
    look_at_share();
  });
}

// -- the others ----------------------------------------------------------------------------------

bool cluster_node::joined() const {
  const auto group = membership_now();
  return group != nullptr && group->joined();
}

std::uint64_t cluster_node::looks() const {
  const auto group = membership_now();
  return group != nullptr ? group->looks() : 0;
}

void cluster_node::suspect() {
  if (const auto group = membership_now())
    group->suspect();
}

std::shared_ptr<const cluster_node::known_nodes> cluster_node::nodes() const {
  auto out = std::make_shared<known_nodes>();
  std::lock_guard guard{mutex_};
  if (!group_)
    return out;
  out->of = group_->view();
  if (nodes_ && nodes_->of == out->of)
    return nodes_;
  out->holders.resize(names_.size());
  out->strange.resize(names_.size());
  std::set<std::string> others;
  for (const auto& member : out->of->members) {
    const auto address = proven_address(member.client, secret_);
    if (!address) { // Whoever may join the group is no node because of that.
      note_stranger(member.client);
      ++out->strangers;
      for (auto p : numbers_of(member.holds))
        out->strange[p] = true;
      continue;
    }
    for (auto p : numbers_of(member.holds))
      out->holders[p] = *address;
    if (*address != address_)
      others.insert(*address);
  }
  out->others.assign(others.begin(), others.end());
  nodes_ = out;
  return out;
}

/// Says it once of each.
void cluster_node::note_stranger(const std::string& client) const {
  constexpr std::size_t named_max = 100;
  if (strangers_.size() < named_max && strangers_.insert(client).second)
    spdlog::error("{} is a member of the group {}.owners and does not prove this cluster's secret: "
                  "it is sent nothing, and what it holds cannot be reached from here. "
                  "kafka.cluster_secret_file must have the same text on all nodes",
                  client.substr(0, client.rfind('#')), settings_.kafka.topic_prefix);
}

bool cluster_node::has_stranger(std::uint32_t partition) const {
  const auto known = nodes();
  return partition < known->strange.size() && known->strange[partition];
}

std::optional<std::string> cluster_node::address_of(std::uint32_t partition) const {
  const auto known = nodes();
  return partition < known->holders.size() ? known->holders[partition] : std::nullopt;
}

std::vector<std::string> cluster_node::others() const {
  return nodes()->others;
}

void cluster_node::append_metrics(std::string& out) const {
  auto sample = [&](std::string_view name, std::string_view type, std::string_view help,
                    auto value) {
    fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help,
                   type, value);
  };
  const auto group = membership_now();
  sample("runledger_cluster_joined", "gauge", "1 while the group has told this node its share.",
         joined() ? 1 : 0);
  sample("runledger_cluster_members", "gauge", "Nodes in the group, as far as this one knows.",
         group != nullptr ? group->view()->members.size() : 0);
  sample("runledger_cluster_strangers", "gauge",
         "Members of the group that do not prove the cluster's secret.", nodes()->strangers);
  sample("runledger_cluster_rebalances_total", "counter",
         "Times that this node was told of another share.",
         group != nullptr ? group->rebalances() : 0);
  sample("runledger_partitions_given", "gauge", "Partitions that the group gives this node.",
         given_.size());
  sample("runledger_partitions_held", "gauge", "Partitions whose last claim is this node's.",
         engine_ != nullptr ? engine_->held().size() : 0);
  sample("runledger_partition_takes_total", "counter", "Partitions that were claimed.", takes_);
  sample("runledger_partition_take_failures_total", "counter", "Claims that failed.", failures_);
  sample("runledger_partition_losses_total", "counter",
         "Partitions that others claimed or were given while they were held here.", losses_);
}

} // namespace runledger::cli
