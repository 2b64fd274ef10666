#include "http/vocabulary.hpp"

#include <algorithm>

namespace runledger::http {

std::string_view reason_of(status s) {
  switch (s) {
    case status::ok:
      return "OK";
    case status::created:
      return "Created";
    case status::accepted:
      return "Accepted";
    case status::no_content:
      return "No Content";
    case status::partial_content:
      return "Partial Content";
    case status::found:
      return "Found";
    case status::not_modified:
      return "Not Modified";
    case status::bad_request:
      return "Bad Request";
    case status::unauthorized:
      return "Unauthorized";
    case status::forbidden:
      return "Forbidden";
    case status::not_found:
      return "Not Found";
    case status::method_not_allowed:
      return "Method Not Allowed";
    case status::request_timeout:
      return "Request Timeout";
    case status::conflict:
      return "Conflict";
    case status::gone:
      return "Gone";
    case status::precondition_failed:
      return "Precondition Failed";
    case status::payload_too_large:
      return "Content Too Large";
    case status::unsupported_media_type:
      return "Unsupported Media Type";
    case status::range_not_satisfiable:
      return "Range Not Satisfiable";
    case status::expectation_failed:
      return "Expectation Failed";
    case status::unprocessable:
      return "Unprocessable Content";
    case status::too_many_requests:
      return "Too Many Requests";
    case status::headers_too_large:
      return "Request Header Fields Too Large";
    case status::internal:
      return "Internal Server Error";
    case status::not_implemented:
      return "Not Implemented";
    case status::bad_gateway:
      return "Bad Gateway";
    case status::unavailable:
      return "Service Unavailable";
    case status::version_not_supported:
      return "HTTP Version Not Supported";
  }
  return "Status";
}

bool same_text(std::string_view left, std::string_view right) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return left.size() == right.size()
         && std::equal(left.begin(), left.end(), right.begin(),
                       [lower](char a, char b) { return lower(a) == lower(b); });
}

} // namespace runledger::http
