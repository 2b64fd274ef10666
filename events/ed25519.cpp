#include "events/ed25519.hpp"

#include "events/base64.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <stdexcept>

namespace runledger::ed25519 {

namespace {

constexpr std::size_t signature_bytes = 64;
/// What precedes the 32 bytes of every Ed25519 key in DER (RFC 8410, section 4).
constexpr std::string_view der_prefix{"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 12};

template <auto Free>
struct freeing {
  template <class T>
  void operator()(T* what) const {
    Free(what);
  }
};
using pkey_ptr = std::unique_ptr<EVP_PKEY, freeing<EVP_PKEY_free>>;
using bio_ptr = std::unique_ptr<BIO, freeing<BIO_free>>;
using context_ptr = std::unique_ptr<EVP_MD_CTX, freeing<EVP_MD_CTX_free>>;

const unsigned char* raw(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

bio_ptr reading(std::string_view text) {
  return bio_ptr{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
}

std::optional<public_key> public_part_of(const EVP_PKEY* key) {
  public_key out;
  auto size = out.bytes.size();
  if (EVP_PKEY_get_id(key) != EVP_PKEY_ED25519
      || EVP_PKEY_get_raw_public_key(key, out.bytes.data(), &size) != 1)
    return std::nullopt;
  return out;
}

/// For a file that asks for a password: there is nobody to ask.
int no_password(char*, int, int, void*) {
  return -1;
}

} // namespace

std::string public_key::der() const {
  std::string out{der_prefix};
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return out;
}

digest public_key::fingerprint() const {
  return sha256(der());
}

std::string public_key::pem() const {
  return "-----BEGIN PUBLIC KEY-----\n" + to_base64(der()) + "\n-----END PUBLIC KEY-----\n";
}

bool public_key::verifies(std::string_view message, std::string_view signature) const {
  pkey_ptr key{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes.data(), bytes.size())};
  context_ptr context{EVP_MD_CTX_new()};
  return signature.size() == signature_bytes && key && context
         && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1
         && EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(message),
                             message.size())
                == 1;
}

std::optional<public_key> public_key_from_der(std::string_view der) {
  public_key out;
  if (der.size() != der_prefix.size() + out.bytes.size() || !der.starts_with(der_prefix))
    return std::nullopt;
  std::copy(der.begin() + der_prefix.size(), der.end(), out.bytes.begin());
  return out;
}

std::optional<std::vector<public_key>> public_keys_from_pem(std::string_view text) {
  std::vector<public_key> out;
  auto from = reading(text);
  char *name = nullptr, *header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  ERR_clear_error();
  while (PEM_read_bio(from.get(), &name, &header, &data, &size) == 1) {
    std::string_view der{reinterpret_cast<const char*>(data), static_cast<std::size_t>(size)};
    auto key =
        std::string_view{name} == PEM_STRING_PUBLIC ? public_key_from_der(der) : std::nullopt;
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    if (!key)
      return std::nullopt;
    out.push_back(*key);
  }
  bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  return out.empty() || !at_end ? std::nullopt : std::optional{std::move(out)};
}

private_key::private_key(void* raw_key)
    : raw_(raw_key, [](void* key) { EVP_PKEY_free(static_cast<EVP_PKEY*>(key)); }) {
  auto part = raw_key != nullptr ? public_part_of(static_cast<EVP_PKEY*>(raw_key)) : std::nullopt;
  if (!part)
    throw std::runtime_error("Ed25519 is not available in this OpenSSL");
  public_ = *part;
}

private_key private_key::generate() {
  return private_key{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")};
}

private_key private_key::from_seed(const digest& seed) {
  return private_key{EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.bytes.data(),
                                                  seed.bytes.size())};
}

std::optional<private_key> private_key::from_pem(std::string_view text) {
  auto from = reading(text);
  pkey_ptr key{PEM_read_bio_PrivateKey(from.get(), nullptr, no_password, nullptr)};
  if (!key || !public_part_of(key.get()))
    return std::nullopt;
  return private_key{key.release()};
}

std::string private_key::pem() const {
  bio_ptr to{BIO_new(BIO_s_mem())};
  if (!to
      || PEM_write_bio_PrivateKey(to.get(), static_cast<EVP_PKEY*>(raw_.get()), nullptr, nullptr, 0,
                                  nullptr, nullptr)
             != 1)
    throw std::runtime_error("a private key cannot be written as PEM");
  char* text = nullptr;
  auto size = BIO_get_mem_data(to.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

std::string private_key::sign(std::string_view message) const {
  std::string out(signature_bytes, '\0');
  auto size = out.size();
  context_ptr context{EVP_MD_CTX_new()};
  if (!context
      || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr,
                            static_cast<EVP_PKEY*>(raw_.get()))
             != 1
      || EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size,
                        raw(message), message.size())
             != 1)
    throw std::runtime_error("a message cannot be signed");
  return out;
}

} // namespace runledger::ed25519
