"""The two verifiers behind a small JSON API over HTTP, `ouroboros serve`."""
