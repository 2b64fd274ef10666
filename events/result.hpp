#pragma once

#include <boost/system/result.hpp>

namespace runledger {

/// The value of an operation that can fail, outside CAF: `std::expected` needs C++23.
template <class T, class E>
using result = boost::system::result<T, E>;

/// One callable out of several lambdas, for std::visit.
template <class... Ts>
struct overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
overloaded(Ts...) -> overloaded<Ts...>;

} // namespace runledger
