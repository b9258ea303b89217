"""A model store in a bucket."""

import pytest

from schemas.settings import Storage
from streamscore.storage.bucket import BucketFolder
from streamscore.storage.folder import Folder
from tests.support.fixture_types import Bucket
from tests.support.store_contract import FolderStoreContract

pytestmark = pytest.mark.system


class TestInABucket(FolderStoreContract):
    @pytest.fixture
    def place(self, bucket: Bucket, storage: Storage) -> Folder:
        return BucketFolder(f"{bucket.uri}/store", storage)
