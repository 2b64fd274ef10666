#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What a node that is one of several has to know of the others.
namespace runledger::http {

/// Which nodes there are and which partition is held by whom, as far as this node knows: it may be
/// out of date, and nothing breaks when it is, because only the holder of the last claim can
/// write. All members may be called from any thread, answer from memory and throw nothing.
class membership {
public:
  virtual ~membership() = default;

  /// Under which URL (`http://host:port`, no slash at the end) the holder of a partition (flat
  /// number) is reached; nothing: nobody is known to hold it. It may be this node's own address.
  virtual std::optional<std::string> address_of(std::uint32_t partition) const = 0;
  /// Whether a member was given the partition that does not prove the cluster's secret: it is no
  /// node of this cluster, and is asked nothing.
  virtual bool has_stranger(std::uint32_t) const { return false; }
  /// The addresses of all other live members, each once.
  virtual std::vector<std::string> others() const = 0;
  /// This node's own address.
  virtual std::string own_address() const = 0;
  /// How often the members were found out anew. What is said after this has grown by two is no
  /// older than the moment when it was read first.
  virtual std::uint64_t looks() const = 0;
  /// What was said last seems to be out of date: to be asked for again soon. May be called often.
  virtual void suspect() = 0;
};

/// What makes a node one of several: given to the parts that reach out to the others. A node alone
/// has none. The membership outlives it.
struct cluster {
  membership& members;
  std::string secret; ///< The text that all nodes share; at least 32 characters.
};

} // namespace runledger::http
