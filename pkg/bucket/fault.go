// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"gocloud.dev/gcerrors"
	"google.golang.org/api/googleapi"

	"github.com/knowngood/knowngood/pkg/fault"
)

// IsNotFound tells whether err says that the object, the bucket or the folder is not there.
// What is forbidden or cannot be reached is never "not there": the Google driver says so of
// each 403, and the Azure driver of a host that no name server knows.
func IsNotFound(err error) bool {
	var name *net.DNSError
	if IsForbidden(err) || errors.As(err, &name) {
		return false
	}
	return gcerrors.Code(err) == gcerrors.NotFound || errors.Is(err, fs.ErrNotExist)
}

// IsForbidden tells whether err says that the credentials, or the user of the process, may
// not do it. The drivers know few of the codes that come with 403.
func IsForbidden(err error) bool {
	if gcerrors.Code(err) == gcerrors.PermissionDenied || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return true
	}
	status := answered(err)
	return status == http.StatusForbidden || status == http.StatusUnauthorized
}

// answered returns the HTTP status with which a provider answered, 0 when there is none.
func answered(err error) int {
	var amazon interface{ HTTPStatusCode() int }
	var google *googleapi.Error
	var azure *azcore.ResponseError
	switch {
	case errors.As(err, &amazon):
		return amazon.HTTPStatusCode()
	case errors.As(err, &google):
		return google.Code
	case errors.As(err, &azure):
		return azure.StatusCode
	}
	return 0
}

// An explained error shows a text in which nothing is secret, and stays what it was for
// errors.Is and errors.As.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// explain says what was done to which object, hides secrets that a driver or an HTTP client
// put into its text, and adds what the person can do.
func (a address) explain(verb, key string, err error) error {
	text := fmt.Sprintf("%s %s: %s", verb, a.place(key), a.hide(err))
	return a.hint(verb, &explained{text: text, err: err})
}

var (
	// signed finds the query parameters of signed URLs that must not be shown.
	signed = regexp.MustCompile(`(?i)([?&;](?:x-(?:amz|goog)-)?(?:sig|signature|credential|(?:security-|access_)?token|secret[a-z_-]*|password|access[a-z_-]*key[a-z_-]*|googleaccessid|awsaccesskeyid)=)[^&\s"';]+`)
	user   = regexp.MustCompile(`(://)[^/\s@"]+@`)
	// code is what the portable library adds; it says nothing to a person.
	code = regexp.MustCompile(`^blob(?: \(key "[^"]*"\))? \(code=[A-Za-z]+\): `)
	// wrongRegion finds how S3 servers say that a request was meant for another region.
	wrongRegion = regexp.MustCompile(`AuthorizationHeaderMalformed|PermanentRedirect|IllegalLocationConstraint|region.{1,30} is wrong|IncorrectEndpoint`)
	// rule is how the Azure library draws its errors, over several lines.
	rule = regexp.MustCompile(`\s*\n[-\s]*`)
)

func (a address) hide(err error) string {
	text := err.Error()
	for _, raw := range []string{a.raw, a.target.String()} {
		if strings.Contains(raw, "://") {
			text = strings.ReplaceAll(text, raw, Redact(raw))
		}
	}
	text = rule.ReplaceAllString(strings.TrimRight(text, "-\n"), "; ")
	text = code.ReplaceAllString(text, "")
	text = user.ReplaceAllString(text, "${1}redacted@")
	return signed.ReplaceAllString(text, "${1}redacted")
}

func (a address) hint(verb string, err error) error {
	var network *net.OpError
	var name *net.DNSError
	text := err.Error()
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case a.withoutCredentials(text):
		return fault.Hint(err, "%s", a.credentials())
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network), errors.As(err, &name):
		return fault.Hint(err, "check that %s can be reached from here", a.place(""))
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.ENOTDIR):
		return fault.Hint(err, "give a folder that can be written to, with space left")
	case IsForbidden(err):
		return fault.Hint(err, "%s", a.grant(verb))
	case IsNotFound(err) && a.scheme == "file":
		if _, there := os.Stat(a.folder()); there == nil {
			return err // the folder's name is right, and the object is not in it
		}
		return fault.Hint(err, "check the folder's name: %s", a.place(""))
	case IsNotFound(err) && verb != "read":
		return fault.Hint(err, "make the bucket %s, or check its name, its region and its account", a.target.Host)
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return fault.Hint(err, "the server speaks without TLS: give it a certificate, or write its address as http://")
	case a.scheme == "s3" && wrongRegion.MatchString(text):
		return fault.Hint(err, "the bucket lies in another region: name it by ?region=… in the URL, or AWS_REGION")
	case a.scheme == "s3" && (strings.Contains(text, "Missing Region") || strings.Contains(text, "Invalid region")):
		return fault.Hint(err, "add ?region=… to the URL, or set AWS_REGION")
	}
	return err
}

func (a address) credentials() string {
	switch a.scheme {
	case "s3":
		return "give AWS credentials as its own tools read them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role"
	case "gs":
		return "give Google credentials as its own tools read them: GOOGLE_APPLICATION_CREDENTIALS, gcloud auth, or workload identity"
	}
	return "set AZURE_STORAGE_ACCOUNT, and AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or a managed identity"
}

// withoutCredentials tells whether the client found nothing to sign a request with. The
// libraries have no common type for it; only the hint hangs on the text.
func (a address) withoutCredentials(text string) bool {
	switch a.scheme {
	case "s3":
		return strings.Contains(text, "get credentials: ")
	case "gs": // without credentials the driver signs with a key that is none
		return strings.Contains(text, "could not find default credentials") || strings.Contains(text, "private key should be a PEM")
	case "azblob":
		return strings.Contains(text, "AccountName is required") || strings.Contains(text, "DefaultAzureCredential")
	}
	return false
}

// grant says what the credentials must be allowed, in the provider's words.
func (a address) grant(verb string) string {
	objects := a.target.Host + "/" + a.prefix + "*"
	permission := map[string]map[string]string{
		"s3": {
			"write": "s3:PutObject on arn:aws:s3:::" + objects, "read": "s3:GetObject on arn:aws:s3:::" + objects,
			"list": "s3:ListBucket on arn:aws:s3:::" + a.target.Host, "delete": "s3:DeleteObject on arn:aws:s3:::" + objects,
		},
		"gs": {
			"write": "storage.objects.create on bucket " + a.target.Host, "read": "storage.objects.get on bucket " + a.target.Host,
			"list": "storage.objects.list on bucket " + a.target.Host, "delete": "storage.objects.delete on bucket " + a.target.Host,
		},
		"azblob": {
			"write": "Storage Blob Data Contributor on container " + a.target.Host,
			"read":  "Storage Blob Data Reader on container " + a.target.Host,
			"list":  "Storage Blob Data Reader on container " + a.target.Host,
		},
	}[a.scheme][verb]
	if permission == "" {
		return fmt.Sprintf("let the user of this process %s in %s", verb, a.place(""))
	}
	return fmt.Sprintf("check the credentials, and grant %s", permission)
}
