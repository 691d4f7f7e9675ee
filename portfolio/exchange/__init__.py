"""Adapters and whole portfolios as folders and archives, for other machines and other people. Nothing read here is trusted.

manifest   the SHA-256 of every file, in one file that can be signed
signing    the signature of that file
reading    files of a folder, .tar.gz or .zip, within limits and without names that climb out
writing    the same three forms, whole or not at all
opening    everything that was read against its manifest
strict     JSON to typed records, and nothing but what they hold
tensors    safetensors within limits, finite numbers only
shapes     tensors of one version against its base and its labels, without that base
fitting    an adapter against its base, loaded
bundle     what stands in the bundle of an adapter
card       README.md with metadata as the Hugging Face hub reads it
export     what is here, to a bundle
importing  an adapter's bundle, to a candidate
whole      a whole portfolio, in
"""
