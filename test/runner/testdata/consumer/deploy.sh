# SPDX-License-Identifier: Apache-2.0
# The shop's own deploy.
echo "deployed $(git rev-parse HEAD)"
